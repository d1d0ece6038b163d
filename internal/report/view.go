package report

import (
	"errors"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/internal/command"
	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/stack"
)

// view is a session without a client, as the command that makes the first screen sees it.
type view struct {
	*bounded
	hears func() bool
}

// Flush does nothing.
func (view) Flush() error { return nil }

// Binary returns false: a report is text.
func (view) Binary() bool { return false }

// Base is not called, since Binary returns false.
func (view) Base([]byte) error { return errors.ErrUnsupported }

// Process returns this process.
func (view) Process() *procfs.Process { return procfs.Self() }

// Remark does nothing: nobody waits for the report.
func (view) Remark(string) {}

// Progress does nothing.
func (view) Progress(func(time.Duration) string) {}

// Changed does nothing: the first screen changes no setting.
func (view) Changed(command.Change) {}

// Locals returns nothing: the first screen does not show them.
func (view) Locals() map[string]any { return nil }

// SwapSnapshot keeps nothing.
func (view) Given() command.Given                         { return command.Given{} }
func (view) SwapSnapshot(*stack.Snapshot) *stack.Snapshot { return nil }

// Listens returns an error: the first screen does not show it.
func (view) Listens() (sigset.Set, error) { return 0, errors.ErrUnsupported }

// Hears reports whether a signal may wake a goroutine of the program.
func (v view) Hears() bool { return v.hears() }

// Disposition returns nothing.
func (view) Disposition(syscall.Signal) string { return "" }

// IsSignalThread returns false.
func (view) IsSignalThread(string) bool { return false }
