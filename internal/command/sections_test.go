package command

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime/trace"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSections(t *testing.T) {
	c := newClient(t)
	require.Contains(t, c.do("sections"), "the program has no sections of its own (Options.Sections)")
	c.s.given.Sections = map[string]func(context.Context, io.Writer) error{
		"queue": func(_ context.Context, w io.Writer) error {
			_, err := io.WriteString(w, "\x00bytes\xff")
			return err
		},
		"cache": func(_ context.Context, w io.Writer) error {
			_, _ = io.WriteString(w, "so far\n")
			return errors.New("it is locked")
		},
	}
	require.Equal(t, "cache\nqueue\n", c.do("sections"))
	require.Equal(t, "\x00bytes\xff", c.do("sections queue"))
	require.Equal(t, "so far\nit is locked\n", c.do("sections cache"))
	require.Equal(t, "sections: no section \"x\"; sections lists them\n", c.do("sections x"))
	require.Contains(t, c.do("sections cache -json"), "there is no -json: the program itself writes a section")
	require.JSONEq(t, `{"schema": "oneshot/sections", "version": 1, "lines": ["cache", "queue"]}`, c.do("sections -json"))
	require.Contains(t, c.do("sections a b"), "one section at a time")
	require.ElementsMatch(t, []string{"cache", "queue"}, completeSections(c.s, nil, ""))
}

// TestTheLastTraceIsThatOfTheFlightRecorder uses the runtime's own recorder, which cannot
// write while it does not run.
func TestTheLastTraceIsThatOfTheFlightRecorder(t *testing.T) {
	c := newClient(t)
	file := filepath.Join(t.TempDir(), "trace")
	line := "trace -last -o " + file
	require.Contains(t, c.do(line), "the program has given no flight recorder (Options.FlightRecorder)")
	recorder := trace.NewFlightRecorder(trace.FlightRecorderConfig{})
	c.s.given.FlightRecorder = recorder
	require.Contains(t, c.do(line), "trace: -last: the program's flight recorder: ")
	require.Contains(t, c.do("trace -last -seconds 1 -o "+file), "it takes no -seconds")
	require.NoFileExists(t, file)
	require.NoError(t, recorder.Start())
	defer recorder.Stop()
	trace.Log(t.Context(), "key", "a value before the command")
	require.Contains(t, c.do(line), "written to "+file)
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(data, []byte("go 1.")), "%.20q", data)
	require.Contains(t, string(data), "a value before the command")
}

// hugeRecorder writes a number of bytes.
type hugeRecorder struct{ size int }

func (r hugeRecorder) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(make([]byte, r.size))
	return int64(n), err
}

func TestTheLastTraceIsBounded(t *testing.T) {
	pieces, err := lastTrace(hugeRecorder{100}, 1<<20)
	require.NoError(t, err)
	require.Len(t, pieces, 1)
	_, err = lastTrace(hugeRecorder{1<<10 + traceRest + 1}, 1<<10)
	require.ErrorContains(t, err, "set a smaller MaxBytes")
}
