//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/bundle"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/samples"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// hasSpin reports whether a profile is one of samples in a trace, and has the function
// that uses the CPU of the program "profiled".
func hasSpin(t *testing.T, data []byte) bool {
	t.Helper()
	p, err := profile.ParseData(data)
	require.NoError(t, err)
	require.Equal(t, []string{samples.Comment}, p.Comments)
	return slices.ContainsFunc(p.Function, func(f *profile.Function) bool { return strings.HasSuffix(f.Name, ".spinForever") })
}

// TestACPUProfileBesideAnother: on a busy machine the program may get no CPU time during a
// short trace.
func TestACPUProfileBesideAnother(t *testing.T) {
	t.Parallel()
	pid := strconv.Itoa(startProgram(t, "profiled"))
	testwait.Eventually(t, func() bool {
		out, errs, status := client(t, os.Args[0], pid, "profile", "cpu", "-seconds", "0.2")
		require.Zero(t, status, errs)
		require.Regexp(t, `^oneshot: the CPU profiler is in use, so this profile has the \d+ samples in a trace of at most 200ms`, errs)
		return hasSpin(t, []byte(out))
	}, "a sample of the function that uses the CPU")
	file := filepath.Join(t.TempDir(), "b.tar.gz")
	_, errs, status := client(t, os.Args[0], "bundle", "-for", "0.1s", "-o", file, pid)
	require.Zero(t, status, errs)
	b, err := bundle.Open(file)
	require.NoError(t, err)
	data, err := b.Part("profiles/cpu.pb.gz")
	require.NoError(t, err)
	hasSpin(t, data)
	require.Contains(t, partOf(t, b, "profiles/cpu.pb.gz").Remark, "the CPU profiler is in use")
}

// TestAnInterruptOfATraceForSamples delivers the samples until then.
func TestAnInterruptOfATraceForSamples(t *testing.T) {
	t.Parallel()
	pid := startProgram(t, "profiled")
	cmd := testwait.Command(t, os.Args[0], strconv.Itoa(pid), "profile", "cpu")
	cmd.Env = append(os.Environ(), clientEnv+"=1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	require.NoError(t, cmd.Start())
	pollSessions(t, strconv.Itoa(pid), "trace -seconds 5")
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	_ = cmd.Wait()
	require.Equal(t, statusInterrupted, cmd.ProcessState.ExitCode(), errs.String())
	hasSpin(t, out.Bytes())
}

func TestTheTimeOfATraceForSamples(t *testing.T) {
	for line, want := range map[string]time.Duration{
		"profile cpu": maxSamplesTime, "profile cpu -seconds 0.5": 500 * time.Millisecond, "profile --seconds 2 -- cpu": 2 * time.Second,
		"profile cpu -seconds 60": maxSamplesTime, "profile cpu -seconds x": maxSamplesTime,
	} {
		words := strings.Fields(line)
		require.True(t, isCPUProfile(words))
		require.Equal(t, want, samplesTime(words), line)
	}
	for _, line := range []string{"profile", "profile heap", "cpu", "profile cpu -o cpu", "stacks cpu"} {
		require.False(t, isCPUProfile(strings.Fields(line)), line)
	}
}
