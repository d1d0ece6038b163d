package procfs

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
)

// descriptorLimit reads how many descriptors the process in dir may have. Its limits
// file has a table:
//
//	Limit                     Soft Limit           Hard Limit           Units
//	Max open files            1024                 524288               files
func descriptorLimit(dir string) (uint64, error) {
	text, err := os.ReadFile(dir + "/limits")
	if err != nil {
		return 0, err
	}
	return parseLimit(string(text), "Max open files")
}

func parseLimit(text, name string) (uint64, error) {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok {
			continue
		}
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			break
		}
		if fields[0] == "unlimited" {
			return math.MaxUint64, nil
		}
		n, err := strconv.ParseUint(fields[0], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("the line %s of the limits file: %w", name, err)
		}
		return n, nil
	}
	return 0, fmt.Errorf("the limits file has no line %s", name)
}
