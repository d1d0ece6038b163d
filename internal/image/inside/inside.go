// Package inside reads the goroutines of its own program from its memory, while the
// program runs: their ids, states, stacks, creators and labels. Unlike runtime.Stack, it
// does not stop the program until all are read.
//
// A runtime.g is never freed, so it can be read at any time. A stack may move or be
// freed while it is read. So it is read by a function in assembly, in which a fault
// becomes an error, and it counts only if the goroutine has not moved meanwhile.
//
// The package depends on the structs of the runtime. Check compares what it reads with
// what the runtime says, before anything else is read. For releases and platforms that
// it does not know, all functions return ErrUnknown.
package inside

import (
	"errors"
	"unsafe"

	"github.com/gomanhole/oneshot/internal/image/layout"
)

// ErrUnknown is the error for a build of which the structs of the runtime are not known.
var ErrUnknown = errors.New("this version of oneshot does not know the memory of this release or platform, or was built with the tag oneshot_portable")

// Goroutine is what was read of one goroutine.
type Goroutine struct {
	ID, Parent uint64
	State      State
	Minutes    int
	Locked     bool // to its thread
	Leaked     bool
	Turns      uint8          // how often it has stopped running, modulo 256
	Stop       layout.Stop    // how it has last stopped running
	Self       bool           // it is the goroutine that reads; its stack is not read
	Finalizers bool           // it runs finalizers; only if they are functions of the program, a traceback shows it
	Creator    uintptr        // the return address of the go statement; 0 if there is none
	Labels     unsafe.Pointer // the pprof labels; nil if there are none
	Stack      []uintptr      // see Expand; empty if it runs all the time
	Whole      bool           // the stack is complete
}

// State says what a goroutine does.
type State uint16

// Groups collects the goroutines. It must not keep a Goroutine, which is used again.
type Groups interface {
	// Find returns the group with a key. Goroutines with the same key are in the same
	// state and have the same stack and creator.
	Find(key uint64) (group int, ok bool)
	// Create makes a new group. Add is called for its first goroutine too.
	Create(key uint64, g *Goroutine) (group int)
	// Add adds a goroutine to a group.
	Add(group int, g *Goroutine)
}

// Stranded is a goroutine that waits for something that no goroutine leads to which can
// run.
type Stranded struct {
	ID   uint64
	Wait uint64 // identifies what it waits for; another wait has another number
	Kind Kind
}

// Kind says what leads to it nevertheless.
type Kind uint8

// The kinds of goroutines that are stranded.
const (
	Lost Kind = iota // nothing
	Held             // only variables, and it is hardly the wait of an idle program
	Idle             // only variables, and the program may be idle
)
