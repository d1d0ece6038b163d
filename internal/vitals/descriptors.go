package vitals

import (
	"os"
	"sort"
	"strings"
)

// Descriptors are the open files of the process.
type Descriptors struct {
	Open, Limit int
}

// fdDir is where the system shows them: Linux, and through a link there the
// file systems fdescfs of the BSDs and /dev/fd of darwin.
var fdDirs = []string{"/proc/self/fd", "/dev/fd"}

// ReadDescriptors counts the open files; an error where they cannot be seen.
// It needs a descriptor for that itself, unless the kernel is Linux from 6.2 on.
func ReadDescriptors() (Descriptors, error) {
	var d Descriptors
	var err error
	if d.Limit, err = descriptorLimit(); err != nil {
		return d, err
	}
	// From Linux 6.2 on the size of the folder is the number (proc_fd.c).
	if info, err := os.Stat(fdDirs[0]); err == nil && info.Size() > 0 {
		d.Open = int(info.Size())
		return d, nil
	}
	for _, dir := range fdDirs {
		var names []string
		if names, err = readNames(dir); err == nil {
			d.Open = len(names) - 1 // without the folder's own
			return d, nil
		}
	}
	return d, err
}

func readNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// Kind is some descriptors of the same kind.
type Kind struct {
	Name  string // socket, pipe, anon_inode, a device, or the files of a folder
	Count int
}

// ReadKinds tells what the open files are, the most frequent first. It looks at
// some thousands at most.
func ReadKinds() ([]Kind, error) {
	names, err := readNames(fdDirs[0])
	if err != nil {
		return nil, err
	}
	counts := make(map[string]int)
	for _, name := range names[:min(len(names), 8192)] {
		target, err := os.Readlink(fdDirs[0] + "/" + name)
		if err != nil {
			continue
		}
		counts[kindOf(target)]++
	}
	var kinds []Kind
	for name, n := range counts {
		kinds = append(kinds, Kind{name, n})
	}
	sort.SliceStable(kinds, func(i, j int) bool {
		a, b := kinds[i], kinds[j]
		if a.Count != b.Count {
			return a.Count > b.Count
		}
		return a.Name < b.Name
	})
	return kinds, nil
}

// kindOf is what a link in /proc/PID/fd points to, without what tells one from
// the other: socket:[123] is a socket, /var/lib/x/7.log a file in /var/lib/x.
func kindOf(target string) string {
	if strings.HasPrefix(target, "/") {
		target = strings.TrimSuffix(target, " (deleted)")
		dir := target[:strings.LastIndexByte(target, '/')+1]
		if dir == "/dev/" {
			return target
		}
		return "files in " + dir
	}
	name, _, _ := strings.Cut(target, ":[")
	return name
}
