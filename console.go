package oneshot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

const prompt = ">>> "

// console is the handler for people: who this is, what every goroutine is
// doing, then a command loop.
type console struct{}

func (console) serve(s *session) error {
	// The rest of the banner goes out before anything that may wait for the
	// program, such as a look at its goroutines.
	writeBanner(s)
	if err := s.out.Flush(); err != nil {
		return err
	}
	s.begun()
	if err := s.do(&firstScreen, nil); err != nil {
		fmt.Fprintf(s.out, "%v\n", err)
	}
	for {
		s.rest()
		_, _ = s.out.WriteString(prompt)
		if err := s.out.Flush(); err != nil {
			return err
		}
		l, err := s.in.next(s.m.opts.IdleTimeout, s.ctx.Done())
		switch {
		case s.ctx.Err() != nil, errors.Is(err, errEnd):
			return nil
		case errors.Is(err, errIdle):
			fmt.Fprintf(s.out, "\nnothing was typed for %v; the session ends\n", s.m.opts.IdleTimeout)
			_ = s.out.Flush() // the client may be gone too
			return err
		case err != nil:
			return err
		case l.tooLong:
			fmt.Fprintf(s.out, "the line has more than %d bytes and was not run\n", maxLine)
			continue
		}
		words := strings.Fields(l.text)
		if len(words) == 0 {
			continue
		}
		s.note(l.text)
		if s.command(words[0], words[1:]) {
			return nil
		}
	}
}

// command runs one command and shows its error; true: it ends the session.
func (s *session) command(name string, args []string) (exit bool) {
	cmd := s.lookup(name)
	if cmd == nil {
		fmt.Fprintf(s.out, "no command %q; help lists them\n", clip(name, 40))
		return false
	}
	err := s.do(cmd, args)
	if errors.Is(err, errExit) {
		return true
	}
	if err != nil {
		fmt.Fprintf(s.out, "%v\n", err)
	}
	return false
}

// writeBanner says since when the program runs and who looks.
func writeBanner(s *session) {
	if up := s.m.home.Load().proc.uptime(); up > 0 {
		fmt.Fprintf(s.out, "up %v; ", up.Round(time.Second))
	}
	fmt.Fprintf(s.out, "you are pid %d, uid %d; help lists the commands\n", s.cred.PID, s.cred.UID)
}

// greeting is the first line of the banner, which says what program this is. It
// is made beforehand, to be sent at once.
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

// moduleVersion is the main module with its version and the revision it was
// built from, as far as the binary says.
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
		text += " (" + clip(rev, 12)
		if settings["vcs.modified"] == "true" {
			text += ", modified"
		}
		text += ")"
	}
	return text
}
