package vitals

import (
	"errors"
	"os"
	"sort"
	"strconv"
	"strings"
	"syscall"
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
	if n, ok := sizeOf(fdDirs[0]); ok {
		d.Open = n
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

// sizeOf returns how many descriptors are in a directory. Since Linux 6.2, this is the
// size of the directory (fs/proc/fd.c).
func sizeOf(dir string) (n int, ok bool) {
	info, err := os.Stat(dir)
	if err != nil || info.Size() <= 0 {
		return 0, false
	}
	return int(info.Size()), true
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

// maxKinds is the number of descriptors of which ReadKinds reads the kinds.
const maxKinds = 8192

// ReadKinds returns the kinds of the open descriptors, the most frequent first. It
// reads maxKinds descriptors at most.
func ReadKinds() ([]Kind, error) { return readKinds(fdDirs[0]) }

func readKinds(dir string) ([]Kind, error) {
	names, err := readNames(dir)
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		// Listing them takes a descriptor, and there is none left. Reading a link takes none.
		for fd := range maxKinds {
			names = append(names, strconv.Itoa(fd))
		}
	} else if err != nil {
		return nil, err
	}
	counts := make(map[string]int)
	for _, name := range names[:min(len(names), maxKinds)] {
		target, err := os.Readlink(dir + "/" + name)
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
