package pprofdelta

import (
	"bufio"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// mapsFile lists the memory mappings of the process. Linux and NetBSD have it.
var mapsFile = "/proc/self/maps"

// mapping describes where the code of the program is in memory: the addresses from
// start to limit, mapped from offset in file. If limit is 0, the addresses are
// unknown, and the mapping contains every address.
type mapping struct {
	start, limit, offset uint64
	file                 string
}

// contains reports whether an address is in the mapping.
func (m mapping) contains(pc uintptr) bool {
	return m.limit == 0 || m.start <= uint64(pc) && uint64(pc) < m.limit
}

// programMapping finds the mapping that contains the code of this function. pprof
// does not need it for names, which the profile has. It needs it for the assembler
// code of -list.
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
