package eval

import (
	"context"
	"errors"
	"math/bits"
	"reflect"
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
	// smallCopy is the size up to which the copy of a struct or an array is free, if
	// the expression only looks at it.
	smallCopy = 256
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

// loop meters one loop over a list.
type loop struct {
	*meter
	size uint64 // the size of the copy of an element
}

// begin is called with the list before each run of the loop.
func (l *loop) begin(args ...any) (any, error) {
	l.size = elementCopy(args[0])
	if l.size > l.left { // a single copy would be too much
		return nil, l.charge(l.size)
	}
	return args[0], l.charge(scopeSize + glance(derefCopy(args[0])))
}

// step is called before each turn of the loop. element is called instead if the
// turn adds an element of the list to the result, and added, after the turn, if it
// adds another value.
func (l *loop) step(...any) (any, error)    { return nil, l.ended() }
func (l *loop) element(...any) (any, error) { return nil, l.charge(elementSize + l.size) }
func (l *loop) added(args ...any) (any, error) {
	return args[0], l.charge(elementSize + copySize(reflect.TypeOf(args[0])))
}

// match charges for an element that filter has found.
func (l *loop) match(args ...any) (any, error) {
	if found, ok := args[0].(bool); ok && found {
		return true, l.charge(elementSize + l.size)
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
