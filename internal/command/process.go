package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime/debug"

	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/stack"
)

// processCommands are the commands about the process as the system sees it.
var processCommands = []*Command{
	{
		Name: "build", Summary: "show how the program was built, and from which modules",
		Run: NoArgs(runBuild),
	},
	{
		Name: "signals", Summary: "show the signal masks of the process, and what the program listens to",
		Help: "The masks are those of /proc/PID/status (proc(5)); SigBlk is that of the main thread. The Go runtime\n" +
			"catches nearly every signal for itself, so SigCgt says little; the last lines say who listens.",
		Run: NoArgs(runSignals),
	},
}

func runBuild(_ context.Context, s Session) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("the binary has no build information; build it in module mode")
	}
	if _, err := io.WriteString(s, info.String()); err != nil {
		return err
	}
	if slow := stack.SlowProfile(); slow != "" {
		fmt.Fprintf(s, "note\t%s\n", slow)
	}
	return nil
}

func runSignals(_ context.Context, s Session) error {
	status, err := procfs.ReadStatus("/proc/self")
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the masks are read from /proc, which is not there: %w", err)
	}
	if err != nil {
		return err
	}
	for _, row := range []struct{ name, What string }{
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
		fmt.Fprintf(s, "%s %016x  %s: %v\n", row.name, mask, row.What, sigset.Set(mask))
	}

	listens, err := s.Listens()
	if err != nil {
		fmt.Fprintf(s, "listens to: unknown, since %v\n", err)
	} else {
		fmt.Fprintf(s, "listens to: %v\n", listens)
	}
	for _, sig := range sigset.Terminating {
		fmt.Fprintf(s, "%-10s  %s\n", sigset.Name(sig), s.Disposition(sig))
	}
	return nil
}
