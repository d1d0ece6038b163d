//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// How much is remembered.
const (
	historyLines    = 1000
	historyFull     = 2000    // lines of the file, which is then shortened
	historyMaxBytes = 1 << 20 // what is read of it; the same goes for a longer file
	historyMaxLine  = 4 << 10
)

// lineHistory are the lines of this session and of those before, for
// term.Terminal. What does not work with the file is never in the way.
type lineHistory struct {
	lines  []string // the latest is the last
	path   string   // of the file; empty: it is not written
	failed error    // the first failure
}

// openHistory reads the history that earlier sessions have left.
func openHistory() *lineHistory {
	h := &lineHistory{}
	path, mayWrite, err := historyPath()
	if err == nil {
		var lines int
		if lines, err = h.read(path); lines > historyFull && mayWrite && err == nil {
			err = h.rewrite(path)
		}
	}
	if mayWrite {
		h.path = path
	}
	h.failed = err
	return h
}

// historyPath returns where the file is, and whether it is the user's own: with
// sudo it may be somebody else's, whom root's files would disturb.
func historyPath() (path string, own bool, err error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", false, err
	}
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) { // which the specification says to ignore
		state = filepath.Join(home, ".local", "state")
	}
	dir := filepath.Join(state, "oneshot")
	return filepath.Join(dir, "history"), isOwn(home, false) && isOwn(state, true) && isOwn(dir, true), nil
}

// isOwn reports whether a directory belongs to this user, or is missing if that
// will do.
func isOwn(dir string, orMissing bool) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return orMissing && errors.Is(err, fs.ErrNotExist)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// openFile opens the history. It is a regular file, or none: a link could make
// another file of this user's grow, a pipe would block.
func openFile(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return f, nil
}

// read reads the last lines, and says how many there were.
func (h *lineHistory) read(path string) (lines int, err error) {
	f, err := openFile(path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	from := max(0, size-historyMaxBytes)
	text, err := io.ReadAll(io.NewSectionReader(f, from, historyMaxBytes))
	if err != nil {
		return 0, err
	}
	lines = bytes.Count(text, []byte{'\n'})
	if from > 0 { // the first may be the rest of one
		_, text, _ = bytes.Cut(text, []byte{'\n'})
		lines = historyFull + 1
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSuffix(line, "\n"); keepsLine(line) {
			h.remember(line)
		}
	}
	return lines, nil
}

// keepsLine reports whether a line is one to remember, and harmless to show.
func keepsLine(line string) bool {
	return line != "" && !strings.HasPrefix(line, " ") && len(line) <= historyMaxLine && utf8.ValidString(line) &&
		!strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsGraphic(r) })
}

// remember adds a line unless it is the latest already.
func (h *lineHistory) remember(line string) bool {
	if n := len(h.lines); n > 0 && h.lines[n-1] == line {
		return false
	}
	h.lines = append(h.lines, line)
	h.lines = h.lines[max(0, len(h.lines)-historyLines):]
	return true
}

// rewrite replaces the file by one with the lines that are remembered. What
// another client adds at this moment may be lost.
func (h *lineHistory) rewrite(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".history-") // its mode is 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(strings.Join(h.lines, "\n") + "\n")
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // what has failed is told
	}
	return err
}

// Add implements term.History.
func (h *lineHistory) Add(line string) {
	if !keepsLine(line) || !h.remember(line) || h.path == "" || h.failed != nil {
		return
	}
	h.failed = h.write(line)
}

// write appends a line in one piece: other clients may do so too.
func (h *lineHistory) write(line string) error {
	if err := os.MkdirAll(filepath.Dir(h.path), 0o700); err != nil {
		return err
	}
	f, err := openFile(h.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Close())
}

// Len implements term.History.
func (h *lineHistory) Len() int { return len(h.lines) }

// At implements term.History; 0 is the latest.
func (h *lineHistory) At(i int) string { return h.lines[len(h.lines)-1-i] }
