package layout_test

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/image/layout"
)

func TestLineOfAVersion(t *testing.T) {
	for version, line := range map[string]string{
		"go1.26.8":                        "go1.26",
		"go1.26":                          "go1.26",
		"go1.26rc1":                       "go1.26",
		"go1.21.13":                       "go1.21",
		"go1.26.8 X:nodwarf5":             "go1.26",
		"go1.26.8-vendor+1":               "go1.26",
		"go1.24.6 (Red Hat 1.24.6-1.el9)": "go1.24",
		"go1.28-devel_0123abc":            "",
		"devel go1.28-0123abc":            "",
		"go1.27beta1":                     "",
		"go1.26.":                         "",
		"go1.26.x":                        "",
		"go1.":                            "",
		"go1.x":                           "",
		"go1.26x":                         "",
		"go2.1":                           "",
		"":                                "",
	} {
		require.Equal(t, line, layout.Line(version), "%q", version)
	}
}

func TestForReturnsTheTableOfALine(t *testing.T) {
	for _, version := range []string{"go1.21.0", "go1.22.3", "go1.23.12", "go1.24", "go1.25rc1", "go1.26.8", "go1.27.4 X:foo"} {
		for _, arch := range []string{"amd64", "arm64"} {
			l, err := layout.For(version, arch)
			require.NoError(t, err)
			require.Equal(t, layout.Line(version), l.Release)
		}
	}
}

// Patch releases changed the structs too.
func TestPatchReleasesHaveTheirOwnTable(t *testing.T) {
	for version, want := range map[string]struct {
		patch, reasons int
		size           layout.Offset // of runtime.m
	}{
		"go1.23rc1":   {0, 37, 1760},
		"go1.23.3":    {0, 37, 1760},
		"go1.23.4":    {4, 38, 1760},
		"go1.23.11":   {4, 38, 1760},
		"go1.23.12":   {12, 38, 1784},
		"go1.24":      {0, 44, 1808},
		"go1.24.5":    {0, 44, 1808},
		"go1.24.6":    {6, 44, 1832},
		"go1.24.13-x": {6, 44, 1832},
	} {
		l, err := layout.For(version, "amd64")
		require.NoError(t, err)
		require.Equal(t, want.patch, int(l.Patch), version)
		require.Equal(t, want.size, l.M.Size, version)
		require.Equal(t, want.reasons, strings.Count(l.WaitReasons, "\n"), version)
	}
}

func TestAnUnknownReleaseIsNamed(t *testing.T) {
	for _, unknown := range [][2]string{
		{"go1.20.14", "amd64"}, {"go1.99.1", "arm64"}, {"go1.26.8", "386"}, {"devel go1.28-0123abc", "amd64"}, {"", "amd64"},
	} {
		l, err := layout.For(unknown[0], unknown[1])
		require.Nil(t, l)
		require.ErrorIs(t, err, layout.ErrUnknown)
		require.ErrorContains(t, err, unknown[0]+" on "+unknown[1])
		require.ErrorContains(t, err, "known are go1.21 to go1.27")
	}
}

// The numbers of wait reasons shift between releases: the same number is another
// text, and the same text another number.
func TestTextsOfWaitReasons(t *testing.T) {
	for _, c := range []struct {
		version string
		number  uint8
		text    string
		idle    bool
	}{
		{"go1.21.13", 14, "chan receive", false},
		{"go1.25.8", 14, "chan receive", false},
		{"go1.25.8", 15, "chan send", false},
		{"go1.26.8", 19, "chan receive", false},
		{"go1.26.8", 14, "sleep", true},
		{"go1.27.4", 46, "cleanup wait", false},
		{"go1.27.4", 0, "", false},
		{"go1.27.4", 42, "chan receive (durable)", true},
	} {
		l, err := layout.For(c.version, "amd64")
		require.NoError(t, err)
		text, ok := l.WaitReason(c.number)
		require.True(t, ok)
		require.Equal(t, c.text, text, "reason %d of %s", c.number, c.version)
		require.Equal(t, c.idle, l.IdleInBubble(c.number), c.text)
		_, ok = l.WaitReason(200)
		require.False(t, ok)
		require.False(t, l.IdleInBubble(200))
		text, ok = l.StatusText(uint32(l.Status.Runnable))
		require.True(t, ok)
		require.Equal(t, "runnable", text)
		_, ok = l.StatusText(1 << 31)
		require.False(t, ok)
	}
}

// Fields that came or went are absent, never 0, which is a valid offset.
func TestFieldsThatAReleaseLacksAreAbsent(t *testing.T) {
	old, err := layout.For("go1.21.13", "amd64")
	require.NoError(t, err)
	for name, offset := range map[string]layout.Offset{
		"syscallbp": old.G.SyscallBP, "coroarg": old.G.CoroArg, "bubble": old.G.Bubble, "syncGroup": old.G.SyncGroup,
		"leaked": old.Status.Leaked, "runCleanups": old.FuncID.RunCleanups, "bubble.id": old.Bubble.ID,
	} {
		require.Equal(t, layout.Absent, offset, name)
		require.False(t, offset.Known(), name)
	}
	require.True(t, old.LabelMap.Buckets.Known())
	require.False(t, old.Traits.LabelList)
	last, err := layout.For("go1.27.4", "arm64")
	require.NoError(t, err)
	require.True(t, last.Status.Leaked.Known())
	require.False(t, last.LabelMap.Buckets.Known())
	require.True(t, last.Traits.LabelList)
	require.False(t, last.PCHeader.TextStart.Known())
}

func TestOwnReturnsTheTableOfThisRelease(t *testing.T) {
	own, err := layout.Own()
	if layout.Line(runtime.Version()) == "" || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		require.ErrorIs(t, err, layout.ErrUnknown)
		return
	}
	require.NoError(t, err)
	want, err := layout.For(runtime.Version(), runtime.GOARCH)
	require.NoError(t, err)
	require.Same(t, want, own)
}

// A program that looks at itself does not carry the tables of other releases.
func TestOwnLinksOneTable(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "own")
	text, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./testdata/own").CombinedOutput()
	require.NoError(t, err, string(text))
	symbols, err := exec.CommandContext(t.Context(), "go", "tool", "nm", binary).Output()
	require.NoError(t, err)
	var tables []string
	for symbol := range strings.FieldsSeq(string(symbols)) {
		if _, name, ok := strings.Cut(symbol, "image/layout.go1"); ok {
			tables = append(tables, "go1."+name)
		}
	}
	require.Equal(t, []string{layout.Line(runtime.Version())}, tables)
}
