package eval

import (
	"context"
	"errors"
	"math/bits"
)

const (
	// maxElements is how many elements of ranges, arrays and maps an evaluation
	// makes in all; expr's own budget counts these, 8 to 24 bytes each.
	maxElements = 2_000_000
	// maxMemory is how many bytes an evaluation takes in all for what expr does
	// not count: strings, results of its functions, inner loops.
	maxMemory = 64 << 20
	// A value that is kept may have taken less, since a session keeps 100.
	maxKeptElements = 100_000
	maxKeptMemory   = 4 << 20
	// scopeSize is what expr keeps of each loop until the end of the evaluation:
	// allocScope in vm.go never takes a vm.Scope back (v1.17.8).
	scopeSize = 192
	// elementSize is an any.
	elementSize = 16
)

var (
	errEnded  = errors.New("evaluation ended")
	errMemory = errors.New("memory budget exceeded") // expr's words
)

// meter is what one evaluation may still use. It belongs to one goroutine.
type meter struct {
	ctx      context.Context
	left     uint64
	elements uint
	noResult bool // the last function that was called has no results
}

func (m *meter) ended() error {
	if m.ctx.Err() != nil {
		return errEnded
	}
	return nil
}

func (m *meter) charge(n uint64) error {
	if n > m.left {
		m.left = 0
		return errMemory
	}
	m.left -= n
	return m.ended()
}

// loop runs before a loop, step before each turn of one, element before one
// that adds an element to the result.
func (m *meter) loop(...any) (any, error)    { return nil, m.charge(scopeSize) }
func (m *meter) step(...any) (any, error)    { return nil, m.ended() }
func (m *meter) element(...any) (any, error) { return nil, m.charge(elementSize) }

// match pays for an element that filter has found.
func (m *meter) match(args ...any) (any, error) {
	if found, ok := args[0].(bool); ok && found {
		return true, m.charge(elementSize)
	}
	return args[0], nil
}

// times is a*b, or more than there can be.
func times(a, b int) uint64 {
	hi, lo := bits.Mul64(uint64(max(a, 0)), uint64(max(b, 0)))
	if hi != 0 {
		return 1 << 63
	}
	return lo
}
