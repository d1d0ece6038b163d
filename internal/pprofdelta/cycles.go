package pprofdelta

import (
	"bytes"
	"fmt"
	"runtime/pprof"
	"strconv"
	"sync"
)

// cyclesPerSecond returns the number of cycles in a second. Cycles are the unit of
// runtime.BlockProfileRecord.Cycles. The runtime measures the number once
// (ticksPerSecond in its runtime.go). It is available only in the text form of the
// block and mutex profiles:
//
//	--- mutex:
//	cycles/second=2399982117
var cyclesPerSecond = sync.OnceValues(func() (float64, error) {
	// Both profiles have the number. The shorter one, which is often empty, takes
	// less time to write.
	p := pprof.Lookup("mutex")
	if block := pprof.Lookup("block"); block.Count() < p.Count() {
		p = block
	}
	var text head
	if err := p.WriteTo(&text, 1); err != nil {
		return 0, err
	}
	return parseCycles(text)
})

// parseCycles returns the number after cycles/second= in the text of a profile.
func parseCycles(text []byte) (float64, error) {
	_, rest, _ := bytes.Cut(text, []byte("\ncycles/second="))
	number, _, _ := bytes.Cut(rest, []byte("\n"))
	n, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("the runtime does not tell how long a cycle is: %.80q", text)
	}
	return float64(n), nil
}

// head keeps the first 256 bytes that are written to it.
type head []byte

// Write keeps the part of p for which there is room. It always succeeds.
func (h *head) Write(p []byte) (int, error) {
	const enough = 256
	*h = append(*h, p[:min(len(p), enough-len(*h))]...)
	return len(p), nil
}
