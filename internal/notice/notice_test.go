package notice

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const mapped = "7f280921b000-7f280921c000 r--p 00000000 00:01 21621                      "

func TestNotice(t *testing.T) {
	for _, c := range []struct {
		line string
		want Notice
	}{
		{"/memfd:oneshot:v1 signal=SIGUSR2 activate=SIGUSR1 path=/tmp/manhole-%p (deleted)", Notice{Oneshot: "SIGUSR2", Activate: "SIGUSR1", Path: "/tmp/manhole-%p"}},
		{"/memfd:oneshot:v1 path=/tmp/manhole-%p (deleted)", Notice{Path: "/tmp/manhole-%p"}},
		{"/memfd:oneshot:v1 activate=SIGRTMIN+3 path=@a b (deleted)", Notice{Activate: "SIGRTMIN+3", Path: "@a b"}},
		{"/memfd:oneshot:v1 signal=SIGUSR2 later=x path=/a path=/b (deleted) (deleted)", Notice{Oneshot: "SIGUSR2", Path: "/a path=/b (deleted)"}},
		{"/memfd:oneshot:v1 trigger=/run/a%20b%25%zz receiver=program path=/a (deleted)", Notice{Path: "/a", Trigger: "/run/a b%%zz", ByProgram: true}},
		{`/memfd:oneshot:v1 path=/a\012b\040c\\d (deleted)`, Notice{Path: "/a\nb\\040c\\\\d"}},
	} {
		n, ok := Parse([]byte("00400000-00452000 r-xp 00000000 08:02 173521 /bin/x\n\n" + mapped + c.line + "\n" + mapped + "[heap]\n"))
		require.True(t, ok, c.line)
		require.Equal(t, c.want, n)
		_, ok = Parse([]byte(mapped + c.line)) // without a line feed
		require.True(t, ok, c.line)
	}
}

func TestNoNotice(t *testing.T) {
	for _, line := range []string{
		"",
		"/memfd:oneshot:v1 signal=SIGUSR2 path=/tmp/x", // a file with that name
		"/memfd:oneshot:v10 signal=SIGUSR2 path=/tmp/x (deleted)",
		"/memfd:oneshot:v1 signal=SIGUSR2 (deleted)",
		"/memfd:oneshot:v1 path= (deleted)",
		"/memfd:oneshot:v1 path=@ (deleted)",
		"/memfd:oneshot:v1 path=tmp/x (deleted)",
		"/memfd:oneshot:v1 path=/tmp/../x (deleted)",
		"/memfd:oneshot:v1 path=/ (deleted)",
		"/memfd:oneshot:v1 path=/tmp/\x00 (deleted)",
		"/memfd:oneshot:v1 trigger=run/x path=/tmp/x (deleted)",
		"/memfd:oneshot:v1 trigger=/run/%00 path=/tmp/x (deleted)",
		"/memfd:oneshot:v1 trigger=/run/%2e%2e/x path=/tmp/x (deleted)",
		"/memfd:oneshot:v1 signal=USR2 path=/tmp/x (deleted)",
		"/memfd:oneshot:v1 signal=SIG\x1b[2J path=/tmp/x (deleted)",
		"/memfd:oneshot:v1 signal=SIGAAAAAAAAAAAAAAAAAAAAAAAAAAA path=/tmp/x (deleted)",
		"/tmp/a /memfd:oneshot:v1 signal=SIGUSR2 path=/tmp/x (deleted)",
	} {
		n, ok := Parse([]byte(mapped + line + "\n"))
		require.False(t, ok, line)
		require.Zero(t, n)
	}
	_, ok := Parse([]byte("/memfd:oneshot:v1 path=/tmp/x (deleted)\n"))
	require.False(t, ok, "the line is not a mapping")
}

// TestAnyNoticeIsParsed parses the result of String in the form that the kernel gives it
// in a maps file.
func TestAnyNoticeIsParsed(t *testing.T) {
	for _, n := range []Notice{
		{Oneshot: "SIGUSR2", Activate: "SIGUSR1", Path: "/tmp/manhole-%p"},
		{Oneshot: "SIGRTMIN+3", Path: "@a b"},
		{Path: "/a path=/b (deleted)"},
		{Trigger: "/run/a b%20\n\x7fc", Path: "/a"},
		{Oneshot: "SIGUSR2", ByProgram: true, Trigger: "/run/trigger", Path: "/a"},
	} {
		got, ok := Parse([]byte(mapped + "/memfd:" + n.String() + " (deleted)\n"))
		require.True(t, ok, n)
		require.Equal(t, n, got)
	}
}

// TestALongTriggerIsLeftOut: the name of a memfd has room for 249 bytes.
func TestALongTriggerIsLeftOut(t *testing.T) {
	n := Notice{Oneshot: "SIGUSR2", Path: "/tmp/manhole-%p", Trigger: "/run/" + strings.Repeat("x", 189)}
	require.Contains(t, n.String(), n.Trigger)
	require.Len(t, n.String(), 249)
	n.Trigger += "y"
	require.Equal(t, "oneshot:v1 signal=SIGUSR2 path=/tmp/manhole-%p", n.String())
}
