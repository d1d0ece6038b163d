package procfs

import (
	"bytes"
	"io"
	"math"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Cgroup has what the control groups of a process allow it (cgroups(7)). A value is 0
// if there is no limit, or if it is not known.
type Cgroup struct {
	CPUs        float64 // how many CPUs it may use, on average
	MemoryLimit uint64  // bytes
	MemoryUsed  uint64  // bytes in use in the group with the limit
}

// ReadCgroup reads the limits of the process in dir. They are those of its group and of
// all groups above it that can be seen from here; of several limits the lowest counts.
func ReadCgroup(dir string) (c Cgroup) {
	groups, err := readBounded(dir + "/cgroup")
	if err != nil {
		return c
	}
	mounts, err := readBounded("/proc/self/mountinfo")
	if err != nil {
		return c
	}
	return cgroupLimits(string(groups), cgroupMounts(string(mounts)))
}

func cgroupLimits(groups string, mounts []cgroupMount) (c Cgroup) {
	eachGroup(groups, mounts, "memory", func(dir string, v2 bool) {
		limit, used := "memory.limit_in_bytes", "memory.usage_in_bytes"
		if v2 {
			limit, used = "memory.max", "memory.current"
		}
		// The first version writes "no limit" as a number close to 1<<63.
		n, ok := readNumber(dir + "/" + limit)
		if ok && n < 1<<60 && (c.MemoryLimit == 0 || n < c.MemoryLimit) {
			c.MemoryLimit = n
			c.MemoryUsed, _ = readNumber(dir + "/" + used)
		}
	})
	eachGroup(groups, mounts, "cpu", func(dir string, v2 bool) {
		var words []string
		if v2 {
			text, _ := readBounded(dir + "/cpu.max")
			words = strings.Fields(string(text))
		} else {
			quota, _ := readBounded(dir + "/cpu.cfs_quota_us")
			period, _ := readBounded(dir + "/cpu.cfs_period_us")
			words = strings.Fields(string(quota) + " " + string(period))
		}
		if cpus := quotient(words); cpus > 0 && (c.CPUs == 0 || cpus < c.CPUs) {
			c.CPUs = cpus
		}
	})
	return c
}

// CgroupDirs returns the folders of the control groups of the process in dir: its own, and
// those above them that can be seen from here.
func CgroupDirs(dir string) (dirs []string, err error) {
	groups, err := readBounded(dir + "/cgroup")
	if err != nil {
		return nil, err
	}
	mounts, err := readBounded("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	for _, controller := range []string{"memory", "cpu", "pids", "blkio"} {
		eachGroup(string(groups), cgroupMounts(string(mounts)), controller, func(dir string, _ bool) {
			if !slices.Contains(dirs, dir) {
				dirs = append(dirs, dir)
			}
		})
	}
	return dirs, nil
}

// quotient returns the first of two numbers divided by the second; 0 if they are no
// positive numbers: "max 100000" and "-1 100000" are no limits.
func quotient(words []string) float64 {
	if len(words) != 2 {
		return 0
	}
	quota, err := strconv.ParseUint(words[0], 10, 64)
	period, err2 := strconv.ParseUint(words[1], 10, 64)
	if err != nil || err2 != nil || period == 0 {
		return 0
	}
	return float64(quota) / float64(period)
}

// cgroupMount is a place where control groups are mounted.
type cgroupMount struct {
	root        string   // the group that is at the mount point
	point       string   // the mount point
	controllers []string // of the first version; nil in the second, which has one tree for all
}

// cgroupMounts finds the control groups in a mountinfo file (proc_pid_mountinfo(5)):
//
//	36 35 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw
//	40 35 0:34 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
func cgroupMounts(text string) (found []cgroupMount) {
	for line := range strings.Lines(text) {
		before, after, ok := strings.Cut(line, " - ")
		fields, rest := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(rest) < 1 {
			continue
		}
		m := cgroupMount{root: unescape(fields[3]), point: unescape(fields[4])}
		switch {
		case rest[0] == "cgroup2":
		case rest[0] == "cgroup" && len(rest) >= 3:
			m.controllers = strings.Split(rest[2], ",")
		default:
			continue
		}
		found = append(found, m)
	}
	return found
}

// unescape replaces \040 and the like in a field of mountinfo.
func unescape(s string) string {
	for i := 0; i+4 <= len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
			s = s[:i] + string([]byte{byte(n)}) + s[i+4:]
		}
	}
	return s
}

// eachGroup calls f with the directory of the group that a process has for a
// controller, and of each group above it. groups is the cgroup file of the process:
//
//	4:memory:/system.slice/x.service
//	0::/system.slice/x.service
func eachGroup(groups string, mounts []cgroupMount, controller string, f func(dir string, v2 bool)) {
	for line := range strings.Lines(groups) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		v2 := parts[0] == "0" && parts[1] == ""
		if !v2 && !slices.Contains(strings.Split(parts[1], ","), controller) {
			continue
		}
		for _, m := range mounts {
			if v2 != (m.controllers == nil) || !v2 && !slices.Contains(m.controllers, controller) {
				continue
			}
			// A path with .. is outside of what can be seen from here.
			below, ok := strings.CutPrefix(parts[2], strings.TrimSuffix(m.root, "/"))
			if !ok || below != "" && below[0] != '/' || strings.Contains(below, "/..") {
				continue
			}
			for below = path.Clean("/" + below); ; below = path.Dir(below) {
				f(m.point+strings.TrimSuffix(below, "/"), v2)
				if below == "/" {
					break
				}
			}
			break
		}
	}
}

// readNumber reads a file with one number.
func readNumber(file string) (uint64, bool) {
	text, err := readBounded(file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64)
	return n, err == nil && n < math.MaxInt64
}

// readBounded reads a file, at most 1 MiB of it.
func readBounded(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 1<<20))
}
