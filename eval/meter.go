package eval

import (
	"context"
	"errors"
	"math/bits"
)

const (
	// maxElements is the number of elements of ranges, arrays and maps that an
	// evaluation may make in total. expr's own budget counts them; an element has 8 to
	// 24 bytes.
	maxElements = 2_000_000
	// maxMemory is the number of bytes that an evaluation may use in total for
	// everything that expr does not count: strings, results of its functions, inner
	// loops.
	maxMemory = 64 << 20
	// The limits are lower for a value that is kept, since a session may keep 100.
	maxKeptElements = 100_000
	maxKeptMemory   = 4 << 20
	// scopeSize is the number of bytes that expr keeps for each loop until the end of
	// the evaluation: allocScope in vm.go never reuses a vm.Scope (v1.17.8).
	scopeSize = 192
	// elementSize is the size of an any.
	elementSize = 16
)

var (
	errEnded  = errors.New("evaluation ended")
	errMemory = errors.New("memory budget exceeded") // expr uses the same text
)

// meter counts what one evaluation may still use. It belongs to one goroutine.
type meter struct {
	ctx      context.Context
	left     uint64
	elements uint
	noResult bool // the last call was of a function without results
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

// loop is called before each loop, and step before each turn of a loop. element is
// called instead of step if the turn adds an element to the result.
func (m *meter) loop(...any) (any, error)    { return nil, m.charge(scopeSize) }
func (m *meter) step(...any) (any, error)    { return nil, m.ended() }
func (m *meter) element(...any) (any, error) { return nil, m.charge(elementSize) }

// match charges for an element that filter has found.
func (m *meter) match(args ...any) (any, error) {
	if found, ok := args[0].(bool); ok && found {
		return true, m.charge(elementSize)
	}
	return args[0], nil
}

// times returns a*b, or a number above every limit if that overflows.
func times(a, b int) uint64 {
	hi, lo := bits.Mul64(uint64(max(a, 0)), uint64(max(b, 0)))
	if hi != 0 {
		return 1 << 63
	}
	return lo
}
