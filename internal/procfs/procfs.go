// Package procfs reads the few files of /proc (proc(5)) that the package and
// its client share. Every function reports an error where /proc is not mounted
// or hidden; none keeps a descriptor open.
package procfs

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Status is /proc/PID/status or /proc/PID/task/TID/status: the value of each
// line by its name, without the colon.
type Status map[string]string

// ReadStatus reads the status file of a process or thread; dir is its folder,
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

// Mask is the signal mask in one of the lines SigPnd, ShdPnd, SigBlk, SigIgn
// and SigCgt: bit n-1 is signal n.
func (s Status) Mask(name string) (uint64, error) {
	value, ok := s[name]
	if !ok {
		return 0, fmt.Errorf("no line %s in the status file", name)
	}
	mask, err := strconv.ParseUint(value, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("%s of the status file: %w", name, err)
	}
	return mask, nil
}

// StartTime is when the process in dir began, in clock ticks (1/100 s) after
// the boot: field 22 of its stat file. With the pid it names a process for
// good, since a pid is used again and this moment is not.
func StartTime(dir string) (uint64, error) {
	text, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return 0, err
	}
	return parseStartTime(text)
}

func parseStartTime(text []byte) (uint64, error) {
	// The second field is the program's name in parentheses and may hold
	// anything, parentheses and spaces too; what follows the last one is
	// fields from the third on.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return 0, fmt.Errorf("stat file of %d fields", len(fields)+2)
	}
	ticks, err := strconv.ParseUint(string(fields[19]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("field 22 of the stat file: %w", err)
	}
	return ticks, nil
}

// Name is the name of a process, of at most 15 bytes (/proc/PID/comm); empty
// where it cannot be read.
func Name(pid int) string {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(text), "\n")
}

// ResidentBytes is the memory of the process in dir that is in RAM: the second
// field of its statm file.
func ResidentBytes(dir string) (uint64, error) {
	text, err := os.ReadFile(dir + "/statm")
	if err != nil {
		return 0, err
	}
	return parseResident(text, uint64(os.Getpagesize()))
}

func parseResident(text []byte, pageSize uint64) (uint64, error) {
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0, fmt.Errorf("statm file of %d fields", len(fields))
	}
	pages, err := strconv.ParseUint(string(fields[1]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("field 2 of the statm file: %w", err)
	}
	return pages * pageSize, nil
}

// Schedstat is an open schedstat file of a thread, to be read again and again.
type Schedstat struct{ f *os.File }

// OpenSchedstat opens the schedstat file of the thread in dir.
func OpenSchedstat(dir string) (Schedstat, error) {
	f, err := os.Open(dir + "/schedstat")
	return Schedstat{f}, err
}

// Runs is how many times the thread was put on a CPU: the third field.
func (s Schedstat) Runs() (uint64, error) {
	var buf [96]byte
	n, err := s.f.ReadAt(buf[:], 0)
	if n == 0 {
		return 0, err
	}
	return parseRuns(buf[:n])
}

func parseRuns(text []byte) (uint64, error) {
	fields := bytes.Fields(text)
	if len(fields) < 3 {
		return 0, fmt.Errorf("schedstat file of %d fields", len(fields))
	}
	return strconv.ParseUint(string(fields[2]), 10, 64)
}

// Close closes the file.
func (s Schedstat) Close() error { return s.f.Close() }
