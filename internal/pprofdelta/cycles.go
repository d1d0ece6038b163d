package pprofdelta

import (
	"bytes"
	"fmt"
	"runtime/pprof"
	"strconv"
	"sync"
)

// cyclesPerSecond is the unit of runtime.BlockProfileRecord.Cycles, which the
// runtime measures once (ticksPerSecond in its runtime.go) and tells only in the
// text of the profiles of waiting:
//
//	--- mutex:
//	cycles/second=2399982117
var cyclesPerSecond = sync.OnceValues(func() (float64, error) {
	// Either has it, and the shorter, which is mostly empty, is written sooner.
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

func parseCycles(text []byte) (float64, error) {
	_, rest, _ := bytes.Cut(text, []byte("\ncycles/second="))
	number, _, _ := bytes.Cut(rest, []byte("\n"))
	n, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("the runtime does not tell how long a cycle is: %.80q", text)
	}
	return float64(n), nil
}

// head keeps the beginning of what is written to it.
type head []byte

func (h *head) Write(p []byte) (int, error) {
	const enough = 256
	*h = append(*h, p[:min(len(p), enough-len(*h))]...)
	return len(p), nil
}
