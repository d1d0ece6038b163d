// Package procfs reads the few files of /proc (proc(5)) that the manhole and its
// client both need. If /proc is hidden or not mounted, the functions return an
// error or an empty result. Only a Schedstat keeps a descriptor open.
package procfs

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Status is the content of /proc/PID/status or /proc/PID/task/TID/status. It maps
// the name of each line, without the colon, to the value.
type Status map[string]string

// ReadStatus reads the status file of a process or thread. dir is its directory,
// such as /proc/self or /proc/self/task/12.
func ReadStatus(dir string) (Status, error) {
	text, err := os.ReadFile(dir + "/status")
	if err != nil {
		return nil, err
	}
	return parseStatus(string(text)), nil
}

func parseStatus(text string) Status {
	status := make(Status)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			status[name] = strings.TrimSpace(value)
		}
	}
	return status
}

// Mask returns the signal mask in one of the lines SigPnd, ShdPnd, SigBlk, SigIgn
// and SigCgt. Bit n-1 is signal n.
func (s Status) Mask(name string) (uint64, error) {
	value, ok := s[name]
	if !ok {
		return 0, fmt.Errorf("the status file has no line %s", name)
	}
	mask, err := strconv.ParseUint(value, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("the line %s of the status file: %w", name, err)
	}
	return mask, nil
}

// StartTime returns when the process in dir started, in clock ticks (1/100 s)
// after the boot. This is field 22 of its stat file. The pid and the start time
// together identify a process: the system reuses a pid, but not with the same
// start time.
func StartTime(dir string) (uint64, error) {
	text, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return 0, err
	}
	return parseStartTime(text)
}

func parseStartTime(text []byte) (uint64, error) {
	// The second field is the program's name in parentheses. It may contain any
	// character, also parentheses and spaces. The third field begins after the last
	// parenthesis.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 {
		return 0, fmt.Errorf("the stat file has only %d fields", len(fields)+2)
	}
	ticks, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("field 22 of the stat file: %w", err)
	}
	return ticks, nil
}

// Name returns the name of a process (/proc/PID/comm), which has at most 15 bytes.
// The name is empty if the file cannot be read.
func Name(pid int) string {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(text), "\n")
}

// ResidentBytes returns how much memory of the process in dir is in RAM. This is
// the second field of its statm file.
func ResidentBytes(dir string) (uint64, error) {
	text, err := os.ReadFile(dir + "/statm")
	if err != nil {
		return 0, err
	}
	return parseResident(text, uint64(os.Getpagesize()))
}

func parseResident(text []byte, pageSize uint64) (uint64, error) {
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, fmt.Errorf("the statm file has only %d fields", len(fields))
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("field 2 of the statm file: %w", err)
	}
	return pages * pageSize, nil
}

// Schedstat is an open schedstat file of a thread. It can be read many times.
type Schedstat struct{ f *os.File }

// OpenSchedstat opens the schedstat file of the thread in dir.
func OpenSchedstat(dir string) (Schedstat, error) {
	f, err := os.Open(dir + "/schedstat")
	return Schedstat{f}, err
}

// Runs returns how often the thread began to run on a CPU. This is the third field.
func (s Schedstat) Runs() (uint64, error) {
	var buf [96]byte
	n, err := s.f.ReadAt(buf[:], 0)
	if n == 0 {
		return 0, err
	}
	return parseRuns(buf[:n])
}

func parseRuns(text []byte) (uint64, error) {
	fields := strings.Fields(string(text))
	if len(fields) < 3 {
		return 0, fmt.Errorf("the schedstat file has only %d fields", len(fields))
	}
	return strconv.ParseUint(fields[2], 10, 64)
}

// Close closes the file.
func (s Schedstat) Close() error { return s.f.Close() }
