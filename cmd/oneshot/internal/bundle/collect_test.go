//go:build linux

package bundle

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
)

// texts returns a task that writes a text and returns an outcome.
func texts(name, text string, o Outcome, err error) Task {
	return Task{Name: name, Limit: time.Minute, Make: func(_ context.Context, w io.Writer) (Outcome, error) {
		_, _ = io.WriteString(w, text)
		return o, err
	}}
}

// collected collects and reads the bundle.
func collected(t *testing.T, ctx context.Context, tasks ...Task) *Bundle {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, folder)
	require.NoError(t, err)
	require.NoError(t, Collect(ctx, w, &Manifest{PID: 7}, tasks, func(int, Task) {}))
	b, err := Read(&out)
	require.NoError(t, err)
	require.NotNil(t, b.Manifest)
	require.Len(t, b.Manifest.Parts, len(tasks))
	return b
}

func TestEachPartHasItsErrorAndItsCost(t *testing.T) {
	failed := errors.New("it failed")
	whole := func(task Task) Task {
		task.Whole = true
		return task
	}
	b := collected(t, t.Context(),
		texts("a.txt", "a", Outcome{Remark: "a remark", Stopped: &Stops{1, 2, 3}}, nil),
		texts("half.txt", "half", Outcome{}, failed),
		texts("nothing.txt", "", Outcome{}, failed),
		texts("empty.txt", "", Outcome{}, nil),
		whole(texts("half.pb.gz", "half", Outcome{}, failed)),
		whole(texts("shorter.pb.gz", "shorter", Outcome{Complete: true, Stopped: &Stops{10, 1, 20}}, failed)),
		texts("off.txt", "off", Outcome{LeaveOut: true}, nil),
		texts("hostile.txt", "", Outcome{Remark: "\x1b]0;TITLE\a\u009b2J"}, errors.New("\x1b[2J\u009b2J")),
	)
	require.Equal(t, []string{"a.txt", "half.txt", "empty.txt", "shorter.pb.gz", ManifestName}, b.Names())
	m := b.Manifest
	require.Equal(t, Complete, m.End)
	require.Equal(t, &Stops{11, 2, 23}, m.Stopped)
	for i, want := range []Part{
		{Name: "a.txt", Bytes: 1, Present: true, Remark: "a remark", Stopped: &Stops{1, 2, 3}},
		{Name: "half.txt", Bytes: 4, Present: true, Error: "it failed"},
		{Name: "nothing.txt", Error: "it failed"},
		{Name: "empty.txt", Present: true},
		{Name: "half.pb.gz", Error: "it failed"},
		{Name: "shorter.pb.gz", Bytes: 7, Present: true, Error: "it failed", Stopped: &Stops{10, 1, 20}},
		{Name: "off.txt"},
		{Name: "hostile.txt", Remark: display.Escape("\x1b]0;TITLE\a\u009b2J"), Error: display.Escape("\x1b[2J\u009b2J")},
	} {
		got := m.Parts[i]
		require.Equal(t, 60.0, got.Limit)
		require.False(t, got.Began.IsZero())
		require.False(t, m.Ended.Before(got.Began))
		want.Began, want.Limit, want.Seconds = got.Began, got.Limit, got.Seconds
		require.Equal(t, want, got)
	}
	text, err := b.Part(ManifestName)
	require.NoError(t, err)
	require.NotContains(t, string(text), "\u009b")
}

// TestAnInterruptLeavesOutTheRest interrupts the second of three tasks, which delivers what
// it has.
func TestAnInterruptLeavesOutTheRest(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	cpu := Task{Name: "cpu", Limit: time.Minute, Whole: true, Make: func(ctx context.Context, w io.Writer) (Outcome, error) {
		interrupt()
		<-ctx.Done()
		_, err := io.WriteString(w, "what there is")
		return Outcome{Complete: true}, errors.Join(err, errors.New("it has what was recorded until then"))
	}}
	b := collected(t, ctx, texts("a", "a", Outcome{}, nil), cpu, texts("b", "b", Outcome{}, nil))
	require.Equal(t, []string{"a", "cpu", ManifestName}, b.Names())
	require.Equal(t, Interrupted, b.Manifest.End)
	require.Equal(t, "interrupted: it has what was recorded until then", b.Manifest.Parts[1].Error)
	require.Equal(t, "left out: interrupted", b.Manifest.Parts[2].Error)
}

func TestTheEndOfTheProgramLeavesOutTheRest(t *testing.T) {
	b := collected(t, t.Context(), texts("a", "a", Outcome{}, nil), texts("b", "half", Outcome{}, ErrProgramEnded), texts("c", "c", Outcome{}, nil))
	require.Equal(t, []string{"a", "b", ManifestName}, b.Names())
	require.Equal(t, ProgramEnded, b.Manifest.End)
	require.Equal(t, "left out: the program has ended", b.Manifest.Parts[2].Error)
}

// TestATaskWithoutTimeIsStopped: the next one runs all the same.
func TestATaskWithoutTimeIsStopped(t *testing.T) {
	slow := Task{Name: "slow", Limit: time.Millisecond, Make: func(ctx context.Context, w io.Writer) (Outcome, error) {
		_, _ = io.WriteString(w, "so far")
		<-ctx.Done()
		return Outcome{}, ctx.Err()
	}}
	b := collected(t, t.Context(), slow, texts("b", "b", Outcome{}, nil))
	require.Equal(t, []string{"slow", "b", ManifestName}, b.Names())
	require.Equal(t, Complete, b.Manifest.End)
	require.Contains(t, b.Manifest.Parts[0].Error, "it has taken longer than 1ms")
}

func TestAPartIsBounded(t *testing.T) {
	b := new(buffer)
	_, err := b.Write(make([]byte, MaxPart))
	require.NoError(t, err)
	_, err = b.Write([]byte("x"))
	require.ErrorIs(t, err, errTooLarge)
	require.Len(t, b.close(), MaxPart)
	_, err = b.Write(nil)
	require.Error(t, err, "a task that was left behind still writes")
}

func TestAFileGetsItsNameWhenItIsComplete(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "b.tar.gz")
	require.NoError(t, os.Symlink("elsewhere", path+Unfinished))
	f, err := Create(path)
	require.NoError(t, err)
	_, err = f.WriteString("x")
	require.NoError(t, err)
	require.NoFileExists(t, path)
	require.Equal(t, path+".2"+Unfinished, f.Name())
	info, err := f.Stat()
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.NoError(t, f.Finish())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "x", string(data))
	require.NoFileExists(t, f.Name())
	require.NoFileExists(t, filepath.Join(dir, "elsewhere"))

	_, err = Create(path)
	require.ErrorIs(t, err, os.ErrExist)
	require.NoError(t, os.Symlink("elsewhere", path+"2"))
	_, err = Create(path + "2")
	require.ErrorIs(t, err, os.ErrExist)
}

// TestAFileReplacesNoOther: somebody else has made a file or a link of that name meanwhile.
func TestAFileReplacesNoOther(t *testing.T) {
	for _, plant := range []func(path string) error{
		func(path string) error { return os.WriteFile(path, []byte("theirs"), 0o600) },
		func(path string) error { return os.Symlink("elsewhere", path) },
	} {
		path := filepath.Join(t.TempDir(), "b.tar.gz")
		f, err := Create(path)
		require.NoError(t, err)
		require.NoError(t, plant(path))
		err = f.Finish()
		require.ErrorIs(t, err, os.ErrExist)
		require.True(t, strings.Contains(err.Error(), f.Name()), "%v", err)
		require.FileExists(t, f.Name())
	}
}
