//go:build linux && !oneshot_noproc

package main

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/masks"
	"github.com/gomanhole/oneshot/internal/command"
	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/stack"
)

// outsideSession is a process that is read from outside, as the built-in commands see
// it. There is no session, so much of it does nothing.
type outsideSession struct {
	*outsider

	once    sync.Once // guards the fields below
	signals masks.Signals
	err     error
}

func (s *outsideSession) Write(p []byte) (int, error)                  { return s.stdout.Write(p) }
func (s *outsideSession) Flush() error                                 { return nil }
func (s *outsideSession) Binary() bool                                 { return false }
func (s *outsideSession) Base([]byte) error                            { return nil }
func (s *outsideSession) Remark(text string)                           { fmt.Fprintf(s.stderr, "oneshot: %s\n", text) }
func (s *outsideSession) Progress(func(time.Duration) string)          {}
func (s *outsideSession) Process() *procfs.Process                     { return s.process }
func (s *outsideSession) Changed(command.Change)                       {}
func (s *outsideSession) Locals() map[string]any                       { return nil }
func (s *outsideSession) Given() command.Given                         { return command.Given{} }
func (s *outsideSession) SwapSnapshot(*stack.Snapshot) *stack.Snapshot { return nil }

// read reads the masks of the threads once.
func (s *outsideSession) readSignals() (masks.Signals, error) {
	s.once.Do(func() { s.signals, s.err = masks.ReadSignals(s.PID) })
	return s.signals, s.err
}

// Listens returns the signals that the program listens to, as far as the mask of the
// runtime's signal thread shows them.
func (s *outsideSession) Listens() (sigset.Set, error) {
	found, err := s.readSignals()
	return found.Listens, err
}

// Hears returns true: the first screen of a process that is read from outside does not
// ask.
func (s *outsideSession) Hears() bool { return true }

// Disposition says what a terminating signal does to the program. The runtime catches
// it, whether the program listens to it or not.
func (s *outsideSession) Disposition(sig syscall.Signal) string {
	found, _ := s.readSignals()
	switch {
	case found.Ignored.Has(sig):
		return "ignored"
	case found.Listens.Has(sig):
		return "the program handles it"
	case masks.Hidden.Has(sig):
		return "not known from outside"
	}
	return "unknown"
}

// IsSignalThread reports whether the directory is that of the runtime's signal thread.
func (s *outsideSession) IsSignalThread(dir string) bool {
	found, err := s.readSignals()
	return err == nil && strings.HasSuffix(dir, fmt.Sprintf("/task/%d", found.Thread))
}
