//go:build linux

package sigset

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

func TestParseSignal(t *testing.T) {
	for text, want := range map[string]syscall.Signal{
		"USR2": syscall.SIGUSR2, "SIGUSR2": syscall.SIGUSR2, "sigusr2": syscall.SIGUSR2, " usr2 ": syscall.SIGUSR2,
		"12": syscall.SIGUSR2, "64": 64, "1": 1, "32": 32, "SIG32": 32,
		"IOT": syscall.SIGABRT, "CLD": syscall.SIGCHLD, "poll": syscall.SIGIO, "IO": syscall.SIGIO,
		"SIGRTMIN": 34, "RTMIN+0": 34, "SIGRTMIN+3": 37, "RTMIN+30": 64, "SIGRTMAX": 64, "rtmax-1": 63, "RTMAX-30": 34,
	} {
		sig, err := Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, sig, text)
	}
	for _, text := range []string{"", "0", "65", "-1", "USR3", "SIG", "SIGSIGUSR2", "RTMIN+31", "RTMAX-31", "RTMIN+-1", "RTMIN+", "RTMIN-1", "x\x00"} {
		_, err := Parse(text)
		require.ErrorContains(t, err, "oneshot: ", text)
	}
}

func TestParseSignalSet(t *testing.T) {
	// The mask of the shell, from the article that gave the idea to this project.
	const shell = Set(0x4b813efb)
	for text, want := range map[string]Set{
		"0x4b813efb": shell, "0X4B813EFB": shell, "4b813efb": shell, "000000004b813efb": shell, "1266761467": shell,
		"USR1,TERM": 1<<9 | 1<<14, "usr1, 15": 1<<9 | 1<<14, "0000000000000012": 0x12, "12": 12,
		"0": 0, "none": 0, "ffffffffffffffff": 1<<64 - 1, "SIGRTMAX": 1 << 63,
	} {
		set, err := ParseSet(text)
		require.NoError(t, err, text)
		require.Equal(t, want, set, text)
	}
	for _, text := range []string{"", ",", "USR1,", "0x", "0xg", "fffffffffffffffff", "18446744073709551616", "USR1 TERM"} {
		_, err := ParseSet(text)
		require.ErrorContains(t, err, "oneshot: ", text)
	}
	require.Equal(t, "SIGHUP,SIGINT,SIGILL,SIGTRAP,SIGABRT,SIGBUS,SIGFPE,SIGUSR1,SIGSEGV,SIGUSR2,SIGPIPE,SIGALRM,"+
		"SIGCHLD,SIGXCPU,SIGXFSZ,SIGVTALRM,SIGWINCH,SIGSYS", shell.String())
}

// TestNamesOfSignalsAreThoseOfTheShell compares the names with the output of bash's kill -l.
func TestNamesOfSignalsAreThoseOfTheShell(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("needs bash")
	}
	out, err := testwait.Command(t, "bash", "-c", "for i in $(seq 64); do echo $i $(kill -l $i); done").Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(out)) {
		number, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(number)
		require.NoError(t, err)
		if n != 32 && n != 33 { // bash has no names for these
			require.Equal(t, "SIG"+name, Name(syscall.Signal(n)))
		}
	}
}

func FuzzParseSignal(f *testing.F) {
	for _, seed := range []string{"USR2", "sigusr2", "12", "SIGRTMIN+3", "RTMAX-1", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sig, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(Name(sig))
		if err != nil || again != sig {
			t.Fatalf("%q is %d, whose name %q is %d: %v", text, sig, Name(sig), again, err)
		}
	})
}

func FuzzParseSignalSet(f *testing.F) {
	for _, seed := range []string{"0x4b813efb", "1266761467", "USR1,TERM", "none", "ffffffffffffffff", ",", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		set, err := ParseSet(text)
		if err != nil {
			return
		}
		again, err := ParseSet(set.String())
		if err != nil || again != set {
			t.Fatalf("%q is %#x, which prints as %q: %#x, %v", text, uint64(set), set, uint64(again), err)
		}
	})
}
