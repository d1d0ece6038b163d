package pprofdelta

import (
	"bufio"
	"os"
	"runtime"
	"strconv"
	"strings"
)

var mapsFile = "/proc/self/maps" // Linux and NetBSD

// A mapping is where the code of the program is in memory, and from where in
// which file. Without limit it is not known, and taken for everywhere.
type mapping struct {
	start, limit, offset uint64
	file                 string
}

func (m mapping) contains(pc uintptr) bool {
	return m.limit == 0 || m.start <= uint64(pc) && uint64(pc) < m.limit
}

// programMapping finds the mapping by this function, which is in it. pprof needs
// none for names, which the file has; it does for -list's assembler.
func programMapping() mapping {
	var m mapping
	m.file, _ = os.Executable()
	f, err := os.Open(mapsFile)
	if err != nil {
		return m
	}
	defer f.Close()
	pc, _, _, _ := runtime.Caller(0)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// 00400000-0052a000 r-xp 00001000 fd:01 1234   /usr/bin/program (proc_pid_maps(5))
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 {
			continue
		}
		start, limit, _ := strings.Cut(fields[0], "-")
		found := mapping{hex(start), hex(limit), hex(fields[2]), m.file}
		if found.limit > 0 && found.contains(pc) {
			return found
		}
	}
	return m
}

func hex(s string) uint64 {
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		return 0
	}
	return n
}
