package vitals

import (
	"os"
	"slices"
	"strings"
)

// Descriptors is the number of open file descriptors of the process, and its limit.
type Descriptors struct {
	Open, Limit int
}

// fdDirs are the directories that list the open descriptors: /proc/self/fd on
// Linux, /dev/fd on darwin and with fdescfs on the BSDs.
var fdDirs = []string{"/proc/self/fd", "/dev/fd"}

// ReadDescriptors counts the open file descriptors. It returns an error on a
// system that does not list them. It needs a descriptor itself to read the list,
// except on Linux 6.2 and later.
func ReadDescriptors() (Descriptors, error) {
	var d Descriptors
	var err error
	if d.Limit, err = descriptorLimit(); err != nil {
		return d, err
	}
	// Since Linux 6.2, the size of the directory is the number (proc_fd.c).
	if info, err := os.Stat(fdDirs[0]); err == nil && info.Size() > 0 {
		d.Open = int(info.Size())
		return d, nil
	}
	for _, dir := range fdDirs {
		var names []string
		if names, err = readNames(dir); err == nil {
			d.Open = len(names) - 1 // without the descriptor of the directory itself
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

// Kind is a kind of descriptor, and the number of descriptors of that kind.
type Kind struct {
	Name  string // socket, pipe, anon_inode, a device, or the files in a directory
	Count int
}

// ReadKinds returns the kinds of the open descriptors, the most frequent first. It
// reads 8192 descriptors at most.
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
	slices.SortFunc(kinds, func(a, b Kind) int {
		if a.Count != b.Count {
			return b.Count - a.Count
		}
		return strings.Compare(a.Name, b.Name)
	})
	return kinds, nil
}

// kindOf returns the kind of a descriptor from the target of its link in
// /proc/PID/fd: socket:[123] is a socket, /var/lib/x/7.log is a file in /var/lib/x.
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
