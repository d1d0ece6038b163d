package procfs

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// maxEnviron and maxEntries bound what is read of an environment. execve(2) allows
// less than this, but a process can move its environment to any part of its memory
// (prctl(2)).
const (
	maxEnviron = 8 << 20 // bytes
	maxEntries = 100_000
)

// readEnviron reads the environment with which the process in dir was started.
func readEnviron(dir string) (entries []string, cut bool, err error) {
	f, err := os.Open(dir + "/environ")
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxEnviron+1))
	if err != nil {
		return nil, false, fmt.Errorf("the environment: %w", err)
	}
	if cut = len(text) > maxEnviron; cut {
		text = text[:maxEnviron]
	}
	for entry := range strings.SplitSeq(string(text), "\x00") {
		if len(entries) == maxEntries {
			return entries, true, nil
		}
		if entry != "" {
			entries = append(entries, entry)
		}
	}
	return entries, cut, nil
}
