package pyvalue

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/sigset"
)

// pair is one option of a text.
type pair struct {
	name  string
	value Value
}

// scan returns all options of the text.
func scan(text string) (pairs []pair, err error) {
	s := Scanner{Rest: text}
	for last := ""; ; {
		name, err := s.Next(last)
		if err != nil || name == "" {
			return pairs, err
		}
		value, err := s.Value()
		if err != nil {
			return pairs, err
		}
		pairs = append(pairs, pair{name, value})
		last = name
	}
}

func TestNamesAndValues(t *testing.T) {
	for text, want := range map[string][]pair{
		"":          nil,
		" \t\n":     nil,
		"a=1":       {{"a", Value{Text: "1"}}},
		" a = 1 , ": {{"a", Value{Text: "1"}}},
		"a=1,b=two": {{"a", Value{Text: "1"}}, {"b", Value{Text: "two"}}},
		`a="x, y=z",b=''`: {
			{"a", Value{Text: "x, y=z", quoted: true}}, {"b", Value{quoted: true}}},
		`a=[],b=["x", 2,],c=( 'y' )`: {
			{"a", Value{list: []string{}}}, {"b", Value{list: []string{"x", "2"}}}, {"c", Value{list: []string{"y"}}}},
		"a\n=\n1\n,\nb=2": {{"a", Value{Text: "1"}}, {"b", Value{Text: "2"}}},
	} {
		got, err := scan(text)
		require.NoError(t, err, "%q", text)
		require.Equal(t, want, got, "%q", text)
	}
}

func TestTextThatIsNotOptions(t *testing.T) {
	for text, part := range map[string]string{
		",":         "comma",
		",a=1":      "comma",
		"a=1,,":     "comma",
		"a":         `"a" has no =`,
		"a, b=1":    `"a" has no =`,
		"=1":        "name",
		"a=":        "missing",
		"a=,b=1":    "missing",
		"a==1":      `"=1"`,
		`a="1" b=2`: `"b=2"`,
		"a=1 b=2":   `"1 b=2"`,
		`a="1`:      `"`,
		`a='1\'`:    "'",
		`a="\q"`:    `"\\q"`,
		`a=f"x"`:    `f\"x\"`,
		"a=[1":      "]",
		"a=(1]":     ")",
		"a=[,]":     "missing",
		"a=[[1]]":   "[1",
		"a=1]":      `"]"`,
	} {
		_, err := scan(text)
		require.ErrorContains(t, err, part, "%q", text)
		require.Less(t, len(err.Error()), 300, "%q", text)
	}
	_, err := scan("sigmask=USR1,TERM")
	require.ErrorContains(t, err, `sigmask="USR1,TERM"`, "a list that the shell has taken the quotes from")
}

func TestPythonQuotes(t *testing.T) {
	for text, want := range map[string]string{
		`"a b"`: "a b", `'a,b=c'`: "a,b=c", `"it's"`: "it's", `'say "x"'`: `say "x"`, `"\"\'"`: `"'`, `'\'\"'`: `'"`,
		`"a\\b\tc\x41\u00e9\xe9\101\U0001F600"`: "a\\b\tcAééA😀", `r"a\nb"`: `a\nb`, `R'\''`: `\'`, `u"\t"`: "\t",
		"\"\xff\"": "\xff", `r`: "r", `r/x`: "r/x", `"é"`: "é", `r"\\"`: `\\`,
	} {
		got, err := scan("a=" + text)
		require.NoError(t, err, text)
		require.Equal(t, want, got[0].value.Text, text)
	}
}

// value returns the value of text.
func value(t *testing.T, text string) Value {
	t.Helper()
	got, err := scan("a=" + text)
	require.NoError(t, err, text)
	require.Len(t, got, 1, text)
	return got[0].value
}

func TestSignals(t *testing.T) {
	usr1, err := sigset.Parse("USR1") // its number differs from system to system
	require.NoError(t, err)
	for text, want := range map[string]os.Signal{"USR1": usr1, `"sigusr1"`: usr1, "None": nil} {
		sig, err := value(t, text).Signal()
		require.NoError(t, err, text)
		require.Equal(t, want, sig, text)
	}
	for _, text := range []string{`"None"`, "KILL", "0", "USR3", "[USR1]", "''"} {
		_, err := value(t, text).Signal()
		require.Error(t, err, text)
	}
}

func TestPaths(t *testing.T) {
	for text, want := range map[string]string{"/tmp/x": "/tmp/x", "None": "", "'None'": "None", `r"a\b"`: `a\b`} {
		path, err := value(t, text).Path()
		require.NoError(t, err, text)
		require.Equal(t, want, path, text)
	}
	for _, text := range []string{"''", "[]", "['/tmp/x']"} {
		_, err := value(t, text).Path()
		require.Error(t, err, text)
	}
}

func TestTruthValues(t *testing.T) {
	for text, want := range map[string]bool{
		"True": true, "true": true, "1": true, "t": true, "yes": true, "ON": true, "'on'": true,
		"False": false, "f": false, "0": false, "No": false, "off": false,
	} {
		got, err := value(t, text).Bool()
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"None", "2", "''", "[]", "[1]", "nope"} {
		_, err := value(t, text).Bool()
		require.Error(t, err, text)
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "1": time.Second, ".5": time.Second / 2, "1e-3": time.Millisecond, "1m30s": 90 * time.Second, "0s": 0, "1e9": 1e9 * time.Second,
	} {
		got, err := value(t, text).Duration()
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
		got, err = value(t, text).Timeout()
		if want == 0 {
			require.Error(t, err, text)
			continue
		}
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"-1", "-1ns", "nan", "inf", "1e10", "1e999", "soon", "''", "[1]", "300000h"} {
		_, err := value(t, text).Duration()
		require.Error(t, err, text)
		_, err = value(t, text).Timeout()
		require.Error(t, err, text)
	}
}

func TestSigmasks(t *testing.T) {
	usr1, err := sigset.Parse("USR1")
	require.NoError(t, err)
	term := syscall.SIGTERM
	for text, want := range map[string]sigset.Set{
		"None": 0, "[]": 0, "()": 0, "0x4000": sigset.Of(term), `"USR1,TERM"`: sigset.Of(usr1, term),
		`["USR1", 15,]`: sigset.Of(usr1, term), "(TERM)": sigset.Of(term),
	} {
		got, err := value(t, text).Sigmask()
		require.NoError(t, err, text)
		require.Equal(t, &want, got, text)
	}
	for _, text := range []string{"all", "ALL_SIGNALS", "manhole.ALL_SIGNALS"} {
		got, err := value(t, text).Sigmask()
		require.NoError(t, err, text)
		require.Nil(t, got, text)
	}
	for _, text := range []string{"USR3", "['USR3']", "[-1]"} {
		_, err := value(t, text).Sigmask()
		require.Error(t, err, text)
	}
}

func TestIsOneOf(t *testing.T) {
	for _, test := range []struct {
		text     string
		accepted []string
		want     bool
	}{
		{"True", []string{"true"}, true},
		{"yes", []string{"true"}, true},
		{"0", []string{"false"}, true},
		{"False", []string{"true"}, false},
		{"None", []string{"none"}, true},
		{"0.5", []string{"0.5", ".5"}, true},
		{".50", []string{"0.5", ".5"}, false},
		{"[none]", []string{"none"}, false},
		{"[]", []string{""}, false},
		{"x", nil, false},
	} {
		require.Equal(t, test.want, value(t, test.text).IsOneOf(test.accepted), "%s of %q", test.text, test.accepted)
	}
}

// For every text, the scanner must end, must read at least one byte for each option, and
// must return errors of one short line.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{"", "a=1", `a=r"\x",b='\x41'`, "a=[1,'2'],b=(3,)", "a=[", "=,", `a="`, "\xff=\n", "\x1b=0)"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pairs, err := scan(text)
		require.LessOrEqual(t, len(pairs), len(text)/2)
		if err != nil {
			require.NotRegexp(t, `[\n\r\x00\x1b]`, err.Error())
			require.Less(t, len(err.Error()), 1000)
		}
	})
}
