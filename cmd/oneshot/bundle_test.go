//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/bundle"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/clienttest"
	"github.com/gomanhole/oneshot/internal/discovery"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// partOf returns what a manifest says of a part.
func partOf(t *testing.T, b *bundle.Bundle, name string) bundle.Part {
	t.Helper()
	i := slices.IndexFunc(b.Manifest.Parts, func(p bundle.Part) bool { return p.Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return b.Manifest.Parts[i]
}

// startLongBundle starts a bundle with a CPU profile of ten minutes, and returns when the
// profile is being recorded: the part before it is in the file.
func startLongBundle(t *testing.T, pid int) (cmd *exec.Cmd, file string, out *testwait.Buffer) {
	t.Helper()
	out = new(testwait.Buffer)
	file = filepath.Join(t.TempDir(), "b.tar.gz")
	cmd = startClientFor(t, out, "bundle", "-for", "10m", "-o", file, strconv.Itoa(pid))
	clienttest.Poll(t, "the part before the CPU profile", func() (string, bool) {
		b, err := bundle.Open(file + bundle.Unfinished)
		if err != nil {
			return err.Error() + out.String(), false
		}
		return strings.Join(b.Names(), " "), slices.Contains(b.Names(), "profiles/goroutine.pb.gz")
	})
	return cmd, file, out
}

// TestAnInterruptedBundleIsComplete interrupts the CPU profile, of which the bundle then has
// what was recorded.
func TestAnInterruptedBundleIsComplete(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		pid := startProgram(t, "installed")
		cmd, file, out := startLongBundle(t, pid)
		clienttest.Poll(t, "the CPU profile to begin", func() (string, bool) {
			sessions, _, _ := client(t, os.Args[0], strconv.Itoa(pid), "sessions")
			return sessions, strings.Contains(sessions, "profile cpu")
		})
		require.NoError(t, cmd.Process.Signal(sig))
		_ = cmd.Wait()
		require.Equal(t, statusInterrupted, cmd.ProcessState.ExitCode(), out)
		require.Contains(t, out.String(), file)
		require.NoFileExists(t, file+bundle.Unfinished)
		b, err := bundle.Open(file)
		require.NoError(t, err)
		require.NoError(t, b.Truncated)
		require.Equal(t, bundle.Interrupted, b.Manifest.End)
		require.Equal(t, "left out: interrupted", partOf(t, b, "trace").Error)
		data, err := b.Part("profiles/cpu.pb.gz")
		require.NoError(t, err)
		require.Contains(t, partOf(t, b, "profiles/cpu.pb.gz").Error, "interrupted: it has what was recorded until then")
		_, err = profile.ParseData(data)
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(pid, 0))
	}
}

func TestABundleOfAProgramThatIsKilled(t *testing.T) {
	t.Parallel()
	pid := startProgram(t, "installed")
	cmd, file, out := startLongBundle(t, pid)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	_ = cmd.Wait()
	require.Equal(t, statusFailed, cmd.ProcessState.ExitCode(), out)
	require.Contains(t, out.String(), "has ended; the bundle has what there was until then")
	b, err := bundle.Open(file)
	require.NoError(t, err)
	require.Equal(t, bundle.ProgramEnded, b.Manifest.End)
	require.Equal(t, "left out: the program has ended", partOf(t, b, "trace").Error)
	_, err = b.Part("stacks.txt")
	require.NoError(t, err)
}

func TestABundleOfAClientThatIsKilled(t *testing.T) {
	t.Parallel()
	cmd, file, _ := startLongBundle(t, startProgram(t, "installed"))
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	require.NoFileExists(t, file)
	b, err := bundle.Open(file + bundle.Unfinished)
	require.NoError(t, err)
	require.NoError(t, b.Truncated)
	require.Nil(t, b.Manifest)
	require.Contains(t, b.Names(), "profiles/goroutine.pb.gz")
}

// TestABundleFromOutside: there is no manhole, or one that does not answer or has no
// commands.
func TestABundleFromOutside(t *testing.T) {
	t.Parallel()
	for program, why := range map[string]string{"parked": "", "deaf": "", "handler": "serves its clients itself"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			pid, file := startProgram(t, program), filepath.Join(t.TempDir(), "b.tar.gz")
			cmd := testwait.Command(t, os.Args[0], "bundle", "-for", "1s", "-t", "0.5", "-o", file, strconv.Itoa(pid))
			cmd.Env = append(os.Environ(), clientEnv+"=1")
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			b, err := bundle.Open(file)
			require.NoError(t, err)
			require.True(t, b.Manifest.Outside)
			require.Contains(t, b.Manifest.Remark, why)
			require.Equal(t, program == "parked", b.Manifest.Remark == "", "%s", b.Manifest.Remark)
			stacks, err := b.Part("stacks.txt")
			require.NoError(t, err, "%+v", b.Manifest)
			require.Contains(t, string(stacks), "by identical stacks")
			for _, name := range []string{"screen.txt", "screen.json", "stacks.json", "fds.json", "proc/limits", "env.txt"} {
				require.Empty(t, partOf(t, b, name).Error, name)
				require.True(t, partOf(t, b, name).Present, name)
			}
			require.Contains(t, partOf(t, b, "profiles/cpu.pb.gz").Error, "needs the help of the program")
			require.Nil(t, b.Manifest.Stopped)
		})
	}
}

// TestAProgramThatRunsOneCommandASession is of an earlier version, which does not know the
// wish for more.
func TestAProgramThatRunsOneCommandASession(t *testing.T) {
	t.Parallel()
	pid := startProgram(t, "installed")
	c := &commander{
		target: target{pid: pid}, options: connectOptions{timeout: testwait.Patience},
		progress: new(partProgress), ended: func() bool { return false },
	}
	for range 2 {
		for _, wishes := range []protocol.Wishes{{}, {More: true, Cost: true}} {
			c.wishes = wishes
			var out strings.Builder
			o, err := c.run(t.Context(), &out, "build")
			require.NoError(t, err)
			require.Contains(t, out.String(), "go\tgo")
			require.Equal(t, wishes.Cost, o.Stopped != nil)
			require.Equal(t, wishes.More, c.conn != nil)
			_, err = c.run(t.Context(), io.Discard, "nosuch")
			require.ErrorIs(t, err, errNoSuchCommand)
			c.close()
		}
	}
}

// TestABundleHasThePartsOfTheProgram: its sections, and what its flight recorder has.
func TestABundleHasThePartsOfTheProgram(t *testing.T) {
	t.Parallel()
	pid, file := startProgram(t, "sections"), filepath.Join(t.TempDir(), "b.tar.gz")
	out, errs, status := client(t, os.Args[0], "bundle", "-for", "0.1s", "-o", file, strconv.Itoa(pid))
	require.Zero(t, status, "%s %s", out, errs)
	b, err := bundle.Open(file)
	require.NoError(t, err)
	cache, err := b.Part("sections/cache")
	require.NoError(t, err)
	require.Equal(t, "\x1b and \xff\n", string(cache))
	evil, err := b.Part("sections/__vil")
	require.NoError(t, err, "%v", b.Names())
	require.Equal(t, "so far\n", string(evil))
	require.Contains(t, partOf(t, b, "sections/__vil").Error, "panicked: oops")
	last, err := b.Part("trace-last")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(last), "go 1."), "%.20q", last)
}

func TestNamesOfSectionsAreNamesOfFiles(t *testing.T) {
	require.Equal(t, []string{"sections/cache", "sections/_", "sections/a_b", "sections/a_b-2", "sections/a_b-3", "sections/_.._etc"},
		sectionParts([]string{"cache", "..", "a/b", "a:b", "a_b", "../../etc"}))
}

// TestAProgramThatStopsToAnswer is stopped in the middle. The parts that need its help are
// left out, after few attempts, and the others are there.
func TestAProgramThatStopsToAnswer(t *testing.T) {
	t.Parallel()
	pid := startProgram(t, "installed")
	p, err := discovery.Read(pid)
	require.NoError(t, err)
	b := newBundler(target{pid: pid}, connectOptions{timeout: testwait.Patience}, p, bundleOptions{time: time.Hour})
	require.NoError(t, b.enter())
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	b.manhole.endTime = time.Millisecond
	b.manhole.drop() // otherwise each command of the session takes all of its time
	var out bytes.Buffer
	m, err := b.write(t.Context(), &out, b.name())
	require.NoError(t, err)
	require.Equal(t, bundle.Complete, m.End)
	read, err := bundle.Read(&out)
	require.NoError(t, err)
	require.Contains(t, partOf(t, read, "stacks.txt").Error, "is stopped (by SIGSTOP or a debugger)")
	require.Contains(t, partOf(t, read, "trace").Error, "is stopped (by SIGSTOP or a debugger)")
	require.Contains(t, read.Names(), "proc/limits")
	require.Equal(t, maxFailures, b.manhole.failures)
}

// TestProgressOfABundle: the standard error is a terminal.
func TestProgressOfABundle(t *testing.T) {
	t.Parallel()
	pid, file := startProgram(t, "installed"), filepath.Join(t.TempDir(), "b.tar.gz")
	master, slave, err := pty.Open()
	require.NoError(t, err)
	defer master.Close()
	cmd := testwait.Command(t, os.Args[0], "bundle", "-for", "1.2s", "-o", file, strconv.Itoa(pid))
	cmd.Env = append(os.Environ(), clientEnv+"=1")
	cmd.Stderr = slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	require.NoError(t, cmd.Start())
	slave.Close()
	shown := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(master) // EIO at the end of the client
		shown <- string(text)
	}()
	text := testwait.Receive(t, shown, "the end of the terminal")
	require.NoError(t, cmd.Wait(), text)
	require.Regexp(t, `\r\x1b\[Kbundle: \d+ of \d+: stacks\.txt\r\x1b\[K`, text)
	require.Regexp(t, `\r\x1b\[Kbundle: \d+ of \d+: profiles/cpu\.pb\.gz: cpu profile: 1 of 1\.2 s\r\x1b\[K`, text)
	require.Regexp(t, `\r\x1b\[Koneshot: not in it: [^\r\n]*\r\n$`, text, "one line, which is gone at the end")
}

// TestABundleOfManyGoroutines: the runtime's own profile and a trace would hold up the program.
func TestABundleOfManyGoroutines(t *testing.T) {
	t.Parallel()
	pid := startProgram(t, "many")
	for _, flags := range [][]string{nil, {"-trace"}} {
		file := filepath.Join(t.TempDir(), "b.tar.gz")
		out, errs, status := client(t, append(append([]string{os.Args[0], "bundle", "-for", "0.1s", "-o", file}, flags...), strconv.Itoa(pid))...)
		require.Zero(t, status, "%s %s", out, errs)
		b, err := bundle.Open(file)
		require.NoError(t, err)
		made := partOf(t, b, "profiles/goroutine.pb.gz")
		require.Contains(t, made.Remark, "made of the groups of stacks.json")
		require.Nil(t, made.Stopped)
		data, err := b.Part("profiles/goroutine.pb.gz")
		require.NoError(t, err)
		p, err := profile.ParseData(data)
		require.NoError(t, err)
		largest := p.Sample[0]
		require.EqualValues(t, manyGoroutines+1000, largest.Value[0])
		require.Regexp(t, `\.offer$`, largest.Location[0].Line[0].Function.Name)
		trace := partOf(t, b, "trace")
		require.Equal(t, len(flags) > 0, trace.Present, "%+v", trace)
		if !trace.Present {
			require.Contains(t, trace.Error, "would hold up the program; oneshot bundle -trace records it")
		}
	}
}

// TestTextAndJSONAreOfOneReading: to read the goroutines is a burden for the program.
func TestTextAndJSONAreOfOneReading(t *testing.T) {
	t.Parallel()
	pid, file := startProgram(t, "parkedinstalled"), filepath.Join(t.TempDir(), "b.tar.gz")
	out, errs, status := client(t, os.Args[0], "bundle", "-for", "0.1s", "-o", file, strconv.Itoa(pid))
	require.Zero(t, status, "%s %s", out, errs)
	b, err := bundle.Open(file)
	require.NoError(t, err)
	for _, name := range []string{"screen", "stacks"} {
		require.Equal(t, "of the same moment as "+name+".json", partOf(t, b, name+".txt").Remark)
		text, err := b.Part(name + ".txt")
		require.NoError(t, err)
		require.Contains(t, string(text), "groups by identical stacks")
		require.Equal(t, name == "screen", strings.Contains(string(text), "heap"), "the vital signs:\n%s", text)
		object, err := b.Part(name + ".json")
		require.NoError(t, err)
		require.True(t, json.Valid(object))
		require.True(t, bytes.HasSuffix(object, []byte("}\n")))
	}
	require.Empty(t, partOf(t, b, "profiles/goroutine.pb.gz").Remark, "the runtime's own")
}

func TestTheAnswerOfBothForms(t *testing.T) {
	t.Parallel()
	for answer, parts := range map[string][2]string{
		"{\n\"a\":1\n}\ntext {\n": {"{\n\"a\":1\n}\n", "text {\n"},
		"{}\n":                    {"{}\n", ""},
		"{}":                      {"{}", ""},
	} {
		object, text, err := splitAnswer([]byte(answer))
		require.NoError(t, err)
		require.Equal(t, parts, [2]string{string(object), string(text)})
	}
	for _, answer := range []string{"", "text", "{"} {
		_, _, err := splitAnswer([]byte(answer))
		require.ErrorContains(t, err, "the program has sent JSON that cannot be read", answer)
	}
}
