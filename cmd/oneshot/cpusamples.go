//go:build linux || darwin || freebsd

package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/samples"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/shellwords"
)

// maxSamplesTime is how long a trace may be that is only taken for its samples. It has
// everything else that happens too.
const maxSamplesTime = 5 * time.Second

// isCPUProfile reports whether a command takes a CPU profile for the client.
func isCPUProfile(words []string) bool {
	return len(words) > 1 && words[0] == "profile" && slices.Contains(words, "cpu") && !slices.Contains(words, "-o")
}

// isCPUBusy reports whether a CPU profile has failed because the program's profiler runs for
// somebody else.
func isCPUBusy(text string) bool { return strings.Contains(text, protocol.CPUBusy) }

// samplesTime returns for how long to trace, in place of a CPU profile.
func samplesTime(words []string) time.Duration {
	for i, word := range words[:len(words)-1] {
		if strings.TrimLeft(word, "-") != "seconds" {
			continue
		}
		if s, err := strconv.ParseFloat(words[i+1], 64); err == nil && s < maxSamplesTime.Seconds() {
			return time.Duration(s * float64(time.Second))
		}
	}
	return maxSamplesTime
}

// cpuSamples writes a CPU profile to w out of a trace, which the function record takes. The
// command was that of the CPU profile. The remark says what has been done.
func cpuSamples(w io.Writer, command []string, record func(w io.Writer, words ...string) error) (remark string, err error) {
	d := samplesTime(command)
	trace := new(traceBuffer)
	recordErr := record(trace, "trace", "-seconds", strconv.FormatFloat(d.Seconds(), 'f', -1, 64))
	if recordErr != nil && !wasInterrupted(recordErr) || trace.Len() == 0 {
		return "", recordErr
	}
	n, err := samples.Write(w, trace)
	if err != nil {
		return "", err
	}
	remark = fmt.Sprintf("the CPU profiler is in use, so this profile has the %d samples in a trace of at most %v; each counts as 10 ms", n, d)
	return remark, recordErr
}

// traceBuffer keeps a trace of a bounded size.
type traceBuffer struct{ bytes.Buffer }

func (b *traceBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > samples.MaxTrace {
		return 0, fmt.Errorf("the trace for the samples has more than %d MiB; try fewer -seconds", samples.MaxTrace>>20)
	}
	return b.Buffer.Write(p)
}

// runCommand runs one line. The error has the exit status of the command. If stdout is a
// terminal, it shows text only. A CPU profile comes from a trace if the profiler is in use.
func runCommand(t target, o connectOptions, line string, stdout, stderr io.Writer) error {
	words, err := shellwords.Split(line)
	if err != nil || !isCPUProfile(words) {
		return runLine(t, o, line, stdout, stderr, stderr)
	}
	var errs bytes.Buffer
	err = runLine(t, o, line, stdout, stderr, &limited{w: &errs, left: maxErrorText})
	if err == nil || !isCPUBusy(errs.String()) {
		_, _ = errs.WriteTo(stderr)
		return err
	}
	remark, err := cpuSamples(stdout, words, func(w io.Writer, words ...string) error {
		return runLine(t, o, commandLine(words), w, stderr, stderr)
	})
	if remark != "" {
		fmt.Fprintf(stderr, "oneshot: %s\n", remark)
	}
	return err
}

// maxErrorText is how much of the errors of a command is kept, in bytes.
const maxErrorText = 16 << 10

// limited is a writer that drops what is too much.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	_, _ = l.w.Write(p[:n])
	return len(p), nil
}
