package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Thread describes a thread by its stat file (proc_pid_stat(5)).
type Thread struct {
	Name         string
	State        byte // R, S, D, ...
	User, System time.Duration
	CPU          int // the CPU on which it runs or ran last
}

// tick is the unit of the times in stat files. USER_HZ is 100 on every Linux
// architecture that Go supports.
const tick = time.Second / 100

// ReadThread reads the stat file of the thread in dir, such as
// /proc/self/task/12.
func ReadThread(dir string) (Thread, error) {
	text, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return Thread{}, err
	}
	return parseThread(text)
}

func parseThread(text []byte) (t Thread, err error) {
	// The name is in parentheses, and may contain parentheses itself.
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return t, errors.New("the stat file has no name in parentheses")
	}
	fields := strings.Fields(string(text[end+1:])) // from the third on
	if len(fields) < 37 {
		return t, fmt.Errorf("the stat file has only %d fields", len(fields)+2)
	}
	t.Name, t.State = string(text[open+1:end]), fields[0][0]
	number := func(field int) int64 {
		n, parseErr := strconv.ParseInt(fields[field-3], 10, 64)
		if parseErr != nil && err == nil {
			err = fmt.Errorf("field %d of the stat file: %w", field, parseErr)
		}
		return n
	}
	t.User, t.System = time.Duration(number(14))*tick, time.Duration(number(15))*tick
	t.CPU = int(number(39))
	return t, err
}

// WaitChannel returns the kernel function in which the thread in dir waits. It
// returns "" if the thread is running, or if the kernel does not report the
// function.
func WaitChannel(dir string) string {
	text, err := os.ReadFile(dir + "/wchan")
	if err != nil {
		return ""
	}
	if name := strings.TrimSpace(string(text)); name != "0" {
		return name
	}
	return ""
}
