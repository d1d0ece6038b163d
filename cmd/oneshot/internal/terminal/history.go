//go:build unix

package terminal

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

// The limits of the history.
const (
	historyLines    = 1000
	historyFull     = 2000    // a file with more lines is shortened to historyLines
	historyMaxBytes = 1 << 20 // only this much is read, from the end; a longer file is shortened too
	historyMaxLine  = 4 << 10 // a longer line is not kept
)

// lineHistory is the history of term.Terminal: the lines of this session and of
// earlier ones. If the file cannot be used, the session goes on without it.
type lineHistory struct {
	lines  []string // the latest is the last
	path   string   // of the file; empty if it must not be written
	failed error    // the first error
}

// openHistory reads the history of earlier sessions.
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

// historyPath returns the path of the file, and whether the file belongs to this
// user. With sudo, HOME may be another user's directory, and a file of root's there
// would be in that user's way.
func historyPath() (path string, private bool, err error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", false, err
	}
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) { // the XDG specification says to ignore a relative path
		state = filepath.Join(home, ".local", "state")
	}
	dir := filepath.Join(state, "oneshot")
	return filepath.Join(dir, "history"), belongsToUser(home, false) && belongsToUser(state, true) && belongsToUser(dir, true), nil
}

// belongsToUser reports whether a directory belongs to this user. For a directory that does
// not exist it returns orMissing.
func belongsToUser(dir string, orMissing bool) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return orMissing && errors.Is(err, fs.ErrNotExist)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// openHistoryFile opens the history. It accepts regular files only: a symbolic link
// could make another file of this user grow, and a pipe would block.
func openHistoryFile(path string, flags int) (*os.File, error) {
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

// read reads the last lines of the file. It returns how many lines the file has, or
// a number above historyFull if the file is longer than historyMaxBytes.
func (h *lineHistory) read(path string) (lines int, err error) {
	f, err := openHistoryFile(path, os.O_RDONLY)
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
	if from > 0 { // the first line may be incomplete
		_, text, _ = bytes.Cut(text, []byte{'\n'})
		lines = historyFull + 1
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSuffix(line, "\n"); mayKeep(line) {
			h.remember(line)
		}
	}
	return lines, nil
}

// mayKeep reports whether a line may be kept. Lines that begin with a space are
// private, as in a shell; others could do harm on a terminal.
func mayKeep(line string) bool {
	return line != "" && !strings.HasPrefix(line, " ") && len(line) <= historyMaxLine && utf8.ValidString(line) &&
		!strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsGraphic(r) })
}

// remember adds a line, unless it equals the latest one. It reports whether it has
// added the line.
func (h *lineHistory) remember(line string) bool {
	if n := len(h.lines); n > 0 && h.lines[n-1] == line {
		return false
	}
	h.lines = append(h.lines, line)
	h.lines = h.lines[max(0, len(h.lines)-historyLines):]
	return true
}

// rewrite replaces the file by a new one with the lines in memory. A line that
// another client adds at the same time may be lost.
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
		_ = os.Remove(f.Name()) // the first error is the one to report
	}
	return err
}

// Add implements term.History.
func (h *lineHistory) Add(line string) {
	if !mayKeep(line) || !h.remember(line) || h.path == "" || h.failed != nil {
		return
	}
	h.failed = h.appendLine(line)
}

// appendLine appends a line to the file in a single write, because other clients may
// append at the same time.
func (h *lineHistory) appendLine(line string) error {
	if err := os.MkdirAll(filepath.Dir(h.path), 0o700); err != nil {
		return err
	}
	f, err := openHistoryFile(h.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Close())
}

// Len implements term.History.
func (h *lineHistory) Len() int { return len(h.lines) }

// At implements term.History. Line 0 is the latest.
func (h *lineHistory) At(i int) string { return h.lines[len(h.lines)-1-i] }
