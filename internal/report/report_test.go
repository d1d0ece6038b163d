package report

import (
	"bufio"
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gomanhole/oneshot/internal/asynclog"
	"github.com/gomanhole/oneshot/internal/testwait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newReporter returns a reporter and what its log writes.
func newReporter(t *testing.T) (*Reporter, *testwait.Buffer) {
	t.Helper()
	log := &testwait.Buffer{}
	r := &Reporter{
		Log:   &asynclog.Log{Logger: slog.New(slog.NewTextHandler(log, nil))},
		Title: func() []byte { return []byte("the program\n") },
		Hears: func() bool { return true },
	}
	r.Start()
	t.Cleanup(func() {
		r.Stop()
		r.Log.Flush(testwait.Patience)
	})
	return r, log
}

// again lets a reporter write another report although there was one a moment ago.
func (r *Reporter) again() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.began = r.began.Add(-Interval)
}

func count(log *testwait.Buffer, text string) int { return strings.Count(log.String(), text) }

func TestAReportIsInTheLogLineByLine(t *testing.T) {
	r, log := newReporter(t)
	r.Request()
	testwait.Eventually(t, func() bool { return count(log, "goroutines in ") == 1 }, "no report: %s", log)
	require.Contains(t, log.String(), `msg="oneshot: report" line=1 of=`)
	require.Contains(t, log.String(), `text="the program"`)
	require.Contains(t, log.String(), `text="memory heap `)
	require.NotContains(t, log.String(), `\n`, "one record has two lines")
}

// TestOneReportInTenSeconds although there are many requests. The next one counts them.
func TestOneReportInTenSeconds(t *testing.T) {
	r, log := newReporter(t)
	for range 100 {
		r.Request()
	}
	testwait.Eventually(t, func() bool { return count(log, "goroutines in ") == 1 }, "no report: %s", log)
	r.again()
	testwait.Eventually(t, func() bool {
		r.Request()
		return count(log, "goroutines in ") == 2
	}, "no second report: %s", log)
	require.Regexp(t, `text="at least \d+ requests for a report came earlier than 10s after the last one"`, log.String())
	require.Equal(t, 2, count(log, `text="the program"`))
}

func TestAReportInAFile(t *testing.T) {
	r, log := newReporter(t)
	r.Dir = t.TempDir()
	r.Request()
	testwait.Eventually(t, func() bool { return count(log, "report written") == 1 }, "no report: %s", log)
	files, err := filepath.Glob(r.Dir + "/oneshot-report-*.txt")
	require.NoError(t, err)
	require.Len(t, files, 1)
	require.Contains(t, log.String(), files[0])
	info, err := os.Stat(files[0])
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	text, err := os.ReadFile(files[0])
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(text, []byte("the program\n")))
	require.Contains(t, string(text), "by identical stacks")

	r, log = newReporter(t)
	r.Dir = t.TempDir() + "/missing"
	r.Request()
	testwait.Eventually(t, func() bool { return count(log, "the report was not written") == 1 }, "the error is not logged")
}

func TestAReportIsBounded(t *testing.T) {
	b := &bounded{}
	line := strings.Repeat("x", 99) + "\n"
	for range MaxSize {
		n, err := b.Write([]byte(line))
		require.NoError(t, err)
		require.Equal(t, len(line), n)
	}
	require.True(t, b.cut)
	require.LessOrEqual(t, b.buf.Len(), MaxSize)
	require.Zero(t, b.buf.Len()%len(line), "the last line is cut off")
}

// TestAPanicIsLogged and does not end the program.
func TestAPanicIsLogged(t *testing.T) {
	r, log := newReporter(t)
	r.Title = func() []byte { panic("oops") }
	r.Request()
	testwait.Eventually(t, func() bool { return count(log, "the report failed") == 1 }, "not logged")
	require.Contains(t, log.String(), "oops")
}

// TestStopEndsAReport soon, and no other one begins.
func TestStopEndsAReport(t *testing.T) {
	r, log := newReporter(t)
	began := make(chan struct{})
	r.Title = func() []byte { close(began); return nil }
	r.Request()
	testwait.Receive(t, began, "the report")
	stopped := make(chan struct{})
	go func() {
		r.Stop()
		close(stopped)
	}()
	testwait.Receive(t, stopped, "the end of the report")
	r.began = time.Time{}
	r.Request()
	require.Nil(t, r.writing)
	require.Zero(t, count(log, "failed"))
}

// lines returns the texts of a report's lines in a log.
func lines(log string) (texts []string) {
	for _, m := range regexp.MustCompile(`text=(".*"|\S+)`).FindAllStringSubmatch(log, -1) {
		texts = append(texts, strings.Trim(m[1], `"`))
	}
	return texts
}

// TestLinesStayWhole: a pipe takes up to 4,096 bytes in one piece. No text may be lost.
func TestLinesStayWhole(t *testing.T) {
	long := strings.Repeat("x", maxLine-1) + "\u00e9" + strings.Repeat("y", 2*maxLine) // the first cut is within a rune
	log := &testwait.Buffer{}
	l := &asynclog.Log{Logger: slog.New(slog.NewTextHandler(log, nil))}
	writeLines(t.Context(), l, "first\n"+long+"\nlast\n")
	l.Flush(testwait.Patience)
	require.Contains(t, log.String(), "line=1 of=6 text=first\n")
	require.Equal(t, "first"+long+"last", strings.Join(lines(log.String()), ""))
	for line := range strings.Lines(log.String()) {
		require.LessOrEqual(t, len(line), 4096)
		require.True(t, utf8.ValidString(line))
	}
}

// TestReportsOnStandardError have one write for each line.
func TestReportsOnStandardError(t *testing.T) {
	read, write, err := os.Pipe()
	require.NoError(t, err)
	defer read.Close()
	before := os.Stderr
	os.Stderr = write
	defer func() { os.Stderr = before }()
	r, log := newReporter(t)
	r.Stderr = true
	r.Request()
	testwait.Deadline(t, read)
	text := bufio.NewReader(read)
	line, err := text.ReadString('\n')
	require.NoError(t, err)
	require.Regexp(t, `^oneshot: report 1/\d+ the program\n$`, line)
	for !strings.Contains(line, "by identical stacks") {
		line, err = text.ReadString('\n')
		require.NoError(t, err)
		require.Regexp(t, `^oneshot: report \d+/\d+ `, line)
	}
	r.Stop()
	require.Empty(t, log.String())
}

// TestOldFilesAreRemoved, so that reports do not fill the disk.
func TestOldFilesAreRemoved(t *testing.T) {
	r, log := newReporter(t)
	r.Dir = t.TempDir()
	began := time.Now()
	for i := range maxFiles + 3 {
		r.toFile(began.Add(time.Duration(i)*time.Second), []byte("text"))
	}
	files, err := filepath.Glob(r.Dir + "/*")
	require.NoError(t, err)
	require.Equal(t, r.files, files)
	require.Len(t, files, maxFiles)
	r.Log.Flush(testwait.Patience)
	require.Equal(t, maxFiles+3, count(log, "report written"))
	require.NotContains(t, log.String(), "not removed")
}

func TestFieldsThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, (&Reporter{Dir: dir}).Check())
	require.NoError(t, (&Reporter{Stderr: true}).Check())
	require.ErrorContains(t, (&Reporter{Dir: dir, Stderr: true}).Check(), "leave one of them out")
	require.ErrorContains(t, (&Reporter{Dir: dir + "/missing"}).Check(), "create it, or name another folder")
	require.NoError(t, os.WriteFile(dir+"/file", nil, 0o600))
	require.ErrorContains(t, (&Reporter{Dir: dir + "/file"}).Check(), "is not a folder")
}

// TestAHangingFileDoesNotHoldUpStop for long.
func TestAHangingFileDoesNotHoldUpStop(t *testing.T) {
	hangs, letGo := testwait.Gate(t)
	r, log := newReporter(t)
	began := make(chan struct{})
	r.Title = func() []byte { close(began); <-hangs; return nil }
	r.Request()
	testwait.Receive(t, began, "the report")
	stopped := make(chan struct{})
	go func() {
		r.Stop()
		close(stopped)
	}()
	testwait.Receive(t, stopped, "the end of Stop")
	testwait.Eventually(t, func() bool { return count(log, "still being written") == 1 }, "nothing is logged")
	letGo()
	testwait.Group(t, &r.work, "the end of the report")
}
