package protocol

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// FormatCost returns the payload of a frame of the kind Cost: the number of stops of the world, and
// the longest one and all together in nanoseconds.
func FormatCost(count uint64, longest, total time.Duration) string {
	return fmt.Sprintf("%d %d %d", count, longest, total)
}

// ParseCost is the opposite of FormatCost.
func ParseCost(payload string) (count uint64, longest, total time.Duration, err error) {
	words := strings.Split(payload, " ")
	var n [3]uint64
	for i := range n {
		if len(words) != len(n) {
			return 0, 0, 0, fmt.Errorf("not the cost of a command: %.40q", payload)
		}
		if n[i], err = strconv.ParseUint(words[i], 10, 63); err != nil {
			return 0, 0, 0, fmt.Errorf("not the cost of a command: %.40q", payload)
		}
	}
	return n[0], time.Duration(n[1]), time.Duration(n[2]), nil
}
