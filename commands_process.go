package oneshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/stack"
)

// processCommands are those about the process as the system sees it.
var processCommands = []*Command{
	{
		Name: "build", Summary: "show how the program was built, and from which modules",
		Run: noArgs(runBuild),
	},
	{
		Name: "signals", Summary: "show the signal masks of the process, and what the program listens to",
		Help: "The masks are those of /proc/PID/status (proc(5)); SigBlk is that of the main thread. The Go runtime\n" +
			"catches nearly every signal for itself, so SigCgt says little; the last lines say who listens.",
		Run: noArgs(runSignals),
	},
}

func runBuild(_ context.Context, s *Session) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("the binary has no build information; build it in module mode")
	}
	if _, err := s.out.WriteString(info.String()); err != nil {
		return err
	}
	if slow := stack.SlowProfile(); slow != "" {
		fmt.Fprintf(s.out, "note\t%s\n", slow)
	}
	return nil
}

func runSignals(_ context.Context, s *Session) error {
	status, err := procfs.ReadStatus("/proc/self")
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the masks are read from /proc, which is not there: %w", err)
	}
	if err != nil {
		return err
	}
	for _, row := range []struct{ name, what string }{
		{"SigPnd", "pending, main thread"},
		{"ShdPnd", "pending, process"},
		{"SigBlk", "blocked, main thread"},
		{"SigIgn", "ignored"},
		{"SigCgt", "caught"},
	} {
		mask, err := status.Mask(row.name)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%s %016x  %s: %v\n", row.name, mask, row.what, sigset.Set(mask))
	}

	listens, err := s.m.oracle.Listens()
	if err != nil {
		fmt.Fprintf(s.out, "listens to: unknown, since %v\n", err)
	} else {
		fmt.Fprintf(s.out, "listens to: %v\n", listens)
	}
	for _, sig := range terminating {
		fmt.Fprintf(s.out, "%-10s  %s\n", sigset.Name(sig), s.m.whoHas(sig))
	}
	return nil
}

// whoHas returns who gets a terminating signal. The masks do not show that.
func (m *Manhole) whoHas(sig syscall.Signal) string {
	m.mu.Lock()
	open := m.win != nil
	m.mu.Unlock()
	if open && !signal.Ignored(sig) {
		return "the manhole has it while its window is open"
	}
	return m.oracle.Disposition(sig)
}
