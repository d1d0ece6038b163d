//go:build linux && (amd64 || arm64)

package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/clienttest"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// maxMemory is how much memory the client may use for a hostile process, in MiB. The
// race detector needs several times as much.
func maxMemory() int64 {
	if testwait.RaceDetector {
		return 1200
	}
	return 250
}

// measuredClient runs the client, and returns its output and its largest memory in MiB.
func measuredClient(t *testing.T, args ...string) (out, errs string, mib int64) {
	t.Helper()
	cmd := testwait.Command(t, os.Args[0], args...)
	status := filepath.Join(testwait.TempDir(t), "status")
	cmd.Env = append(os.Environ(), clientEnv+"=1", peakEnv+"="+status)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // callers check the output
	text, err := os.ReadFile(status)
	require.NoError(t, err, "%q: %s", args, &stderr)
	peak := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	require.NotNil(t, peak, string(text))
	kib, err := strconv.ParseInt(string(peak[1]), 10, 64)
	require.NoError(t, err)
	return stdout.String(), stderr.String(), kib >> 10
}

// requireHarmless fails if a terminal would obey a byte of the text.
func requireHarmless(t *testing.T, text, what string) {
	t.Helper()
	for _, r := range text {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\ufffd' {
			require.FailNow(t, "raw bytes", "%s: %q", what, text[:min(len(text), 4000)])
		}
	}
}

// What a process says of itself is escaped and bounded: its command line, environment,
// threads, files, sockets and labels.
func TestOutsideOfAHostileProcess(t *testing.T) {
	dir := testwait.TempDir(t)
	long := strings.Repeat(harm, 120_000/len(harm)) // the kernel allows 128 KiB for each
	var env []string
	for i := range 12 {
		env = append(env, fmt.Sprintf("BIG%d%s=%s", i, harm, long))
	}
	cmd := program("hostile", append(env, pathEnv+"="+dir)...)
	cmd.Args = append(cmd.Args, long)
	pid := strconv.Itoa(clienttest.StartReady(t, cmd))
	for line, most := range map[string]int{
		"": 20_000, "stacks": 20_000, "stacks -full -n 0": 20_000, "stacks -go": 20_000, "fds": 20_000, "threads": 20_000, "signals": 20_000, "proc": 20_000,
		"-json": 30_000, "stacks -json -full -n 0": 30_000, "fds -json": 30_000, "threads -json": 20_000, "env -json": 150_000, "proc cmdline -json": 1 << 20,
		"build": 50_000, "env": 150_000, "proc status": 20_000, "proc cmdline": 1 << 20, "proc environ": 5 << 20, "proc exe": 20_000, "goroutine 1": 20_000,
	} {
		args := []string{pid}
		if line != "" {
			args = append(args, line)
		}
		out, errs, mib := measuredClient(t, args...)
		require.NotEmpty(t, out, "%s: %s", line, errs)
		require.Less(t, len(out), most, line)
		if strings.Contains(line, "-json") {
			require.True(t, json.Valid([]byte(out)), line)
		}
		require.Less(t, mib, maxMemory(), line)
		requireHarmless(t, out, line)
		requireHarmless(t, errs, line)
	}
	out, _, _ := measuredClient(t, pid, "fds")
	require.Contains(t, out, `LISTEN "@\x1b]0;title\a\x1b[2J\u009b1m\xff\n`)
	out, _, _ = measuredClient(t, pid, "threads")
	require.Contains(t, out, `"\x1b]0;title\a\x1b[2`)
	out, _, _ = measuredClient(t, pid, "stacks")
	require.Contains(t, out, `\x1b]0;title`)
}

// forgeBuildInfo writes a program that says that it was built with that release of Go.
// It is this one with another segment, which nobody loads.
func forgeBuildInfo(t *testing.T, release string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	file, err := elf.NewFile(bytes.NewReader(text))
	require.NoError(t, err)
	const addr = 0x7000_0000_0000
	le := binary.LittleEndian
	blob := append([]byte("\xff Go buildinf:\x08\x02"), make([]byte, 16)...)
	blob = append(binary.AppendUvarint(blob, uint64(len(release))), release...)
	mod := strings.Repeat("s", 16) + "path\tforged\nmod\tforged\tv1\t\n" + strings.Repeat("e", 16)
	blob = append(binary.AppendUvarint(blob, uint64(len(mod))), mod...)
	segments, sections := le.Uint64(text[32:]), le.Uint64(text[40:])
	for i, p := range file.Progs {
		if p.Type == elf.PT_NOTE || p.Type == elf.PT_GNU_STACK {
			h := text[segments+uint64(i)*56:]
			le.PutUint32(h, uint32(elf.PT_NULL))
			for at, v := range map[int]uint64{8: uint64(len(text)), 16: addr, 24: addr, 32: uint64(len(blob)), 40: uint64(len(blob))} {
				le.PutUint64(h[at:], v)
			}
			break
		}
	}
	for i, s := range file.Sections {
		if s.Name == ".go.buildinfo" {
			h := text[sections+uint64(i)*64:]
			le.PutUint64(h[16:], addr)
			le.PutUint64(h[32:], 32)
		}
	}
	path := filepath.Join(testwait.TempDir(t), "forged")
	require.NoError(t, os.WriteFile(path, append(text, blob...), 0o700))
	return path
}

func startForged(t *testing.T, release string) string {
	t.Helper()
	cmd := exec.Command(forgeBuildInfo(t, release))
	cmd.Env = append(os.Environ(), programEnv+"=plain")
	return strconv.Itoa(clienttest.StartReady(t, cmd))
}

// An executable that claims a release of 32 MiB does not make ps, or a look from
// outside, use up memory.
func TestAnExecutableThatClaimsARelease(t *testing.T) {
	pid := startForged(t, strings.Repeat("v", 32<<20))
	for _, args := range [][]string{{"ps"}, {"ps", "-json"}, {pid}, {"-outside", pid, "build"}, {"signals", pid}} {
		out, errs, mib := measuredClient(t, args...)
		require.Less(t, len(out)+len(errs), 1<<20, "%q", args)
		require.Less(t, mib, maxMemory(), "%q", args)
	}
	_, errs, _ := measuredClient(t, pid, "stacks")
	require.Contains(t, errs, "process "+pid+" (forged) is not a Go program, or its file is not readable")

	// One that is within the bounds is shown, clipped and escaped.
	pid = startForged(t, harm+strings.Repeat("v", 1<<20))
	for _, args := range [][]string{{"ps"}, {"ps", "-json"}, {pid}, {pid, "stacks"}, {pid, "-json"}} {
		out, errs, mib := measuredClient(t, args...)
		require.Less(t, len(out)+len(errs), 100<<10, "%q", args)
		require.Contains(t, out+errs, "title", "%q", args)
		require.Less(t, mib, maxMemory(), "%q", args)
		requireHarmless(t, out+errs, args[0])
	}
	out, _, _ := measuredClient(t, "ps")
	require.Regexp(t, `(?m)^`+pid+` .*  \\x1b\]0;title\\x07\\x1b\[2J\\u009b1m\\xffv+\.\.\.  forged v1 +not linked`, out)
}
