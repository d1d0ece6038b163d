//go:build linux && !oneshot_noproc

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/internal/command"
	"github.com/gomanhole/oneshot/internal/discovery"
)

// action is what watch does when its condition holds: it writes one file about the
// process.
type action struct {
	line  string   // as it was given
	words []string // of it
}

// ownActions are the actions that the client does itself. Every other one is a command
// for the process, whose output becomes the file.
var ownActions = map[string]struct {
	suffix string                     // of the file
	check  func(words []string) error // returns an error for a wrong usage
	run    func(w *watcher, words []string, out *os.File) error
}{
	"bundle": {".tar.gz", checkBundleAction, (*watcher).bundle},
}

// do does it and returns the name of the file, or "" if there is none.
func (a action) do(w *watcher) (string, error) {
	own, isOwn := ownActions[a.words[0]]
	suffix := own.suffix
	if !isOwn {
		suffix = outputSuffix(a.words)
	}
	file, err := newFile(w.dir, w.process, strings.Join(a.words, " "), suffix)
	if err != nil {
		return "", err
	}
	if isOwn {
		err = own.run(w, a.words, file)
	} else {
		err = w.command(a.words, file)
	}
	info, statErr := file.Stat()
	err = errors.Join(err, file.Close())
	if err != nil && statErr == nil && info.Size() == 0 {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	return file.Name(), err
}

// command runs a command for the process. If its manhole does not answer, it is read from
// outside.
func (w *watcher) command(words []string, out *os.File) error {
	p, isOutside, err := readFromOutside(w.target, w.options)
	if err != nil {
		return err
	}
	if !isOutside {
		err := runCommand(w.target, w.options, commandLine(words), out, w.errs)
		if err == nil || !w.isSilent(err, out) {
			return err
		}
		if instead[words[0]] != "" {
			return fmt.Errorf("%w (%w)", errNotOutside, err)
		}
		fmt.Fprintf(w.errs, "oneshot: %v; reading it from outside\n", err)
		if p, err = discovery.Read(w.process.PID); err != nil {
			return err
		}
	}
	return outside(p, true, words, out, io.Discard)
}

// isSilent reports whether a command has failed because the process does not answer.
func (w *watcher) isSilent(err error, out *os.File) bool {
	var status statusError
	info, statErr := out.Stat()
	return errors.As(err, &status) && status.status == statusTimeout && statErr == nil && info.Size() == 0
}

// outputSuffix returns what the name of a file with the output of a command ends with.
func outputSuffix(words []string) string {
	switch {
	case words[0] == "profile" && len(words) > 1:
		return ".pb.gz"
	case words[0] == "trace":
		return ".trace"
	}
	if _, form := command.CutJSON(words); form == command.AsJSON {
		return ".json"
	}
	return ".txt"
}

// newFile creates a file whose name says what is in it.
func newFile(dir string, p *discovery.Process, what, suffix string) (*os.File, error) {
	name := fmt.Sprintf("oneshot-%s-%d-%s-%s", plainName(p.Name), p.PID, time.Now().Format("20060102T150405"), plainName(what))
	for n := 1; ; n++ {
		path := filepath.Join(dir, name+suffix)
		if n > 1 {
			path = filepath.Join(dir, fmt.Sprintf("%s-%d%s", name, n, suffix))
		}
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if !errors.Is(err, os.ErrExist) || n == 100 {
			return f, err
		}
	}
}

// plainName returns a text as a part of the name of a file: not too long, and without
// characters that have a meaning somewhere.
func plainName(s string) string {
	const most = 60
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '.' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '_'
	}, s[:min(len(s), most)])
}
