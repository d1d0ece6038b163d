package report

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gomanhole/oneshot/internal/asynclog"
)

const (
	atOnce  = 100         // lines that are given to the log before it is waited for
	logTime = time.Second // how long it is waited for

	// maxLine is the length of the longest line, in bytes; a longer one becomes several.
	// One record has one line, so that what collects logs shows it whole: a pipe takes up
	// to 4,096 bytes in one piece, whoever else writes to it.
	maxLine = 2000

	// maxFiles is how many files a process leaves. The oldest is removed.
	maxFiles = 20
)

// checkDir returns an error if no report can be written to a file in dir.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return fmt.Errorf("oneshot: ReportDir: %w; create it, or name another folder", err)
	case !info.IsDir():
		return fmt.Errorf("oneshot: ReportDir: %s is not a folder", dir)
	}
	return nil
}

// writeLines writes a text to a log, one record for each line.
func writeLines(ctx context.Context, log *asynclog.Log, text string) {
	lines := split(text)
	for i, line := range lines {
		if i > 0 && ctx.Err() != nil {
			return
		}
		log.Info("report", slog.Int("line", i+1), slog.Int("of", len(lines)), slog.String("text", line))
		if i%atOnce == atOnce-1 {
			log.Flush(logTime) // the queue of the log is bounded
		}
	}
}

// split returns the lines of a text, each with at most maxLine bytes.
func split(text string) (lines []string) {
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		for len(line) > maxLine {
			n := maxLine
			for n > maxLine-utf8.UTFMax && !utf8.RuneStart(line[n]) {
				n--
			}
			lines = append(lines, line[:n])
			line = line[n:]
		}
		lines = append(lines, line)
	}
	return lines
}

// toStderr writes the lines of a report to standard error, each with one write.
var toStderr = slog.New(stderrHandler{})

type stderrHandler struct{}

func (stderrHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h stderrHandler) WithAttrs([]slog.Attr) slog.Handler     { return h }
func (h stderrHandler) WithGroup(string) slog.Handler          { return h }

// Handle writes a record as "oneshot: report 3/40 text".
func (stderrHandler) Handle(_ context.Context, r slog.Record) error {
	var line, of int64
	text := ""
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "line":
			line = a.Value.Int64()
		case "of":
			of = a.Value.Int64()
		case "text":
			text = a.Value.String()
		}
		return true
	})
	where := ""
	if of > 0 { // not a remark of package asynclog
		where = fmt.Sprintf(" %d/%d %s", line, of, text)
	}
	_, err := os.Stderr.Write([]byte(r.Message + where + "\n"))
	return err
}

// toFile writes a report to a new file that only the user of the process may read.
func (r *Reporter) toFile(began time.Time, text []byte) {
	name := filepath.Join(r.Dir, fmt.Sprintf("oneshot-report-%d-%s.txt", os.Getpid(), began.UTC().Format("20060102-150405.000")))
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.Write(text)
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(name) // half a report
		}
	}
	if err != nil {
		r.Log.Error("the report was not written", "file", name, "err", err)
		return
	}
	r.Log.Info("report written", "file", name, "bytes", len(text))
	r.mu.Lock()
	r.files = append(r.files, name)
	oldest := ""
	if len(r.files) > maxFiles {
		oldest, r.files = r.files[0], r.files[1:]
	}
	r.mu.Unlock()
	if oldest == "" {
		return
	}
	if err := os.Remove(oldest); err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.Log.Warn("an old report was not removed", "err", err)
	}
}
