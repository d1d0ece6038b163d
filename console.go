package oneshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/gomanhole/oneshot/internal/clientio"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/protocol"
)

// Console is the handler for people. It prints which program this is and what every
// goroutine is doing. Then it runs the commands that the user types.
type Console struct{}

func (Console) forPeople() bool { return true }

// Serve implements Handler.
func (Console) Serve(ctx context.Context, s *Session) error {
	s, release := s.until(ctx)
	defer release()
	// Send the rest of the banner before anything that may have to wait for the
	// program, such as reading its goroutines.
	writeBanner(s)
	if err := s.Flush(); err != nil {
		return err
	}
	s.begun()
	s.setRunning(firstScreen.Name)
	if err := s.do(&firstScreen, nil); err != nil {
		fmt.Fprintln(s, plaintext.Error(err))
	}
	s.setRunning("")
	for {
		_, _ = io.WriteString(s, protocol.Prompt)
		line, err := s.ReadLine()
		switch {
		case errors.Is(err, io.EOF):
			writeChanges(s)
			return nil
		case errors.Is(err, ErrLineTooLong):
			fmt.Fprintf(s, "%v\n", err)
			continue
		case errors.Is(err, clientio.ErrIdle):
			fmt.Fprintf(s, "\nnothing was typed for %v; the session ends\n", s.host.opts.IdleTimeout)
			_ = s.Flush() // the client may have disconnected too
			return err
		case err != nil:
			return err
		}
		switch err := s.Run(line); {
		case errors.Is(err, errExit):
			writeChanges(s)
			return nil
		case err != nil:
			fmt.Fprintln(s, plaintext.Error(err))
		}
	}
}

// writeChanges reminds of the settings of the program that are not as they were.
func writeChanges(s *Session) {
	for _, c := range s.changed() {
		fmt.Fprintf(s, "%s stays changed: now %s, before %s\n", c.What, c.After, c.Before)
	}
}

// writeBanner writes how long the program has been running and who the client is.
func writeBanner(s *Session) {
	if up := s.host.uptime(); up > 0 {
		fmt.Fprintf(s.out, "up %v; ", up.Round(time.Second))
	}
	fmt.Fprintf(s.out, "you are pid %d, uid %d; help lists the commands\n", s.cred.PID, s.cred.UID)
}

// greeting returns the first line of the banner, which says what program this is.
// It is prepared in advance so that it can be sent at once.
func greeting(pid int) []byte {
	name := "a Go program"
	if exe, err := os.Executable(); err == nil {
		name = filepath.Base(exe)
	}
	text := fmt.Sprintf("%s, pid %d", name, pid)
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Path != "" {
		text += ", " + moduleVersion(info)
	}
	return fmt.Appendf(nil, "%s, %s %s/%s\n", text, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// moduleVersion returns the main module, its version, and the revision it was built
// from, as far as the binary contains them.
func moduleVersion(info *debug.BuildInfo) string {
	text := info.Main.Path
	if info.Main.Version != "" {
		text += " " + info.Main.Version
	}
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if rev := settings["vcs.revision"]; rev != "" {
		text += " (" + plaintext.Clip(rev, 12)
		if settings["vcs.modified"] == "true" {
			text += ", modified"
		}
		text += ")"
	}
	return text
}
