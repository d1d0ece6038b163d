package plaintext

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// hostile has characters that could harm a terminal or a log.
var hostile = []string{"\x1b[2J", "\x00", "\r", "\x7f", "\u009b1m", "\u202e", "\xff", "\u2028", "\u200b"}

func TestALineIsShownAsItIsOrQuoted(t *testing.T) {
	for _, s := range []string{"", "plain", "caf\u00e9 \t x", `"quoted"`, "日本"} {
		require.Equal(t, s, Line(s))
	}
	require.Equal(t, `"a\nb"`, Line("a\nb"))
	for _, bad := range hostile {
		line := Line("x" + bad)
		require.NotContains(t, line, bad)
		require.True(t, strings.HasPrefix(line, `"x\`), line)
	}
}

func TestEscapeKeepsLinesAndTabs(t *testing.T) {
	require.Equal(t, "two\n\tlines, caf\u00e9", Escape("two\n\tlines, caf\u00e9"))
	require.Equal(t, `\x1b[2J`, Escape("\x1b[2J"))
	require.Equal(t, `\xc2\x9b`, Escape("\u009b"))
	require.Equal(t, `\xff`, Escape("\xff"))
	require.Equal(t, `a\xef\xbf\xbdb`, Escape("a\ufffdb"), "it may have been any byte")
	require.Equal(t, `x\x0d`, Error(errors.New("x\r")))
	for _, bad := range hostile {
		require.NotContains(t, Escape("x"+bad+"y"), bad)
	}
}

func TestAppendEscapedTakesOneCharacter(t *testing.T) {
	for _, test := range []struct {
		data, want string
		size       int
	}{{"ab", ">a", 1}, {"\u00e9b", ">\u00e9", 2}, {"\x1bb", `>\x1b`, 1}, {"\xffb", `>\xff`, 1}, {"\u202eb", `>\xe2\x80\xae`, 3}} {
		got, size := AppendEscaped([]byte(">"), []byte(test.data))
		require.Equal(t, test.want, string(got))
		require.Equal(t, test.size, size)
	}
}

func TestClipCutsBetweenCharacters(t *testing.T) {
	require.Equal(t, "four", Clip("four", 4))
	require.Equal(t, "fou...", Clip("four", 3))
	require.Equal(t, "a...", Clip("a\u00e9\u00e9", 2))
	require.Equal(t, "...", Clip("x", 0))
	require.Empty(t, Clip("", 0))
}

func TestPlural(t *testing.T) {
	require.Equal(t, "0 groups", Plural(0, "group"))
	require.Equal(t, "1 group", Plural(1, "group"))
	require.Equal(t, "2 groups", Plural(2, "group"))
}

func TestADurationHasAboutThreeDigits(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{
		0: 0, 999: 999, 1234: 1230, 12345: 12300, 1234567: 1230000,
		time.Hour + 23*time.Minute + 45*time.Second: 5030 * time.Second,
	} {
		require.Equal(t, want, Duration(d))
	}
}

func TestColumns(t *testing.T) {
	require.Equal(t, "gc                       collect", Columns("gc", "collect"))
	wide := strings.Repeat("x", 25)
	require.Equal(t, wide+"\n"+strings.Repeat(" ", 27)+"text", Columns(wide, "text"))
	require.NotContains(t, Columns(wide[:24], "text"), "\n")
}

func TestIsSlip(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"oneshot_on", "oneshot_on", true},
		{"onshot_on", "oneshot_on", true},
		{"oneshoton", "oneshot_on", true},
		{"onehsot_on", "oneshot_on", true},
		{"noeshto_on", "oneshot_on", false},
		{"on", "oneshot_on", false},
		{"", "ab", true},
		{"", "abc", false},
	} {
		require.Equal(t, test.want, IsSlip(test.a, test.b), "%q %q", test.a, test.b)
		require.Equal(t, test.want, IsSlip(test.b, test.a), "%q %q", test.b, test.a)
	}
}

// The result must be safe for a terminal, and safe text must stay the same.
func FuzzEscape(f *testing.F) {
	for _, seed := range append(hostile, "", "plain", "two\nlines\t") {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, text := range []string{Escape(s), Line(s)} {
			require.True(t, utf8.ValidString(text))
			for _, r := range text {
				require.True(t, r == '\n' || r == '\t' || unicode.IsPrint(r), "%q in %q", r, text)
			}
		}
		require.NotContains(t, Line(s), "\n")
		require.Equal(t, Escape(s), Escape(Escape(s)), "escaped text is safe")
		if len(s) > 3 {
			require.Regexp(t, `(?s)^.{0,3}\.\.\.$`, Clip(s, 3))
		}
	})
}

func TestProcess(t *testing.T) {
	require.Equal(t, "pid 7", Process(7))
	require.Equal(t, "a process of another pid namespace", Process(0))
}
