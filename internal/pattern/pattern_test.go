package pattern

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

var (
	expressions = []string{
		"", "a", "main.", `main\.serve`, "tcp.*LISTEN", "^main", "main$", "^$", `\Aa\z`, "a|b|", "(a|bc)*d", "(?:ab)+c", "x?y??z*?",
		"a{2}", "a{2,}b", "a{1,3}c", "(ab){0,2}c", "a{0}b", "a{", "a{,2}", "{a", "{2", "a{x}", "[abc]+", "[^abc]", "[]a]", "[^]a]", "[a-]",
		"[-a]", "[a-c-e]", "[a-c0-9_]+$", `[\d.]+:\d+`, `[^\s]x`, `\D\S\W`, `[\W]`, `\bmain\b`, `\Bain`, `a\.b\*c`, `\[::1\]:\d+`, "(?i)MAIN",
		"a(?i)B|C", "(a(?i)b)C", "(?i:A)b", `(?i)[^A-C]`, `(?i)\Wk`, `(?i)[k]`, "(a*)*b", "(a|a)*$", "((a*)+|b)c", "(|a)+b", "^*a", "(^|b)a",
		`\(\*Server\)\.Serve`, "é+", "[à-ü]", "[[:]", "[[a]", "]", "}", "(a)(b)", `\t|\n`, `main.*\.go:4\d`, "()", "(|)*x", `\_`, "$a", "a^",
	}
	texts = []string{
		"", "a", "b", "aa", "aab", "abab", "ababc", "aaac", "abcd", "bcad", "main.serve", "main.(*Server).Serve", "/src/main.go:42", "MAIN",
		"domain", "remaining", "tcp 127.0.0.1:80 LISTEN", "[::1]:8080", "x y", "a.b*c", "a\nb", "\n", "\t", "é", "éèü", "É", "K", "ſ", "k", "K",
		"a{2}", "a{", "{a", "a{,2}", "-", "]", "^", "_", "abC", "aBC", "ABC", "aC", "xyz", "z", "日本", "10.0.0.1:5432, ESTABLISHED",
	}
)

// TestTheMeaningIsThatOfRegexp compares every expression on every text.
func TestTheMeaningIsThatOfRegexp(t *testing.T) {
	for _, expr := range expressions {
		p, err := Compile(expr)
		require.NoError(t, err, expr)
		require.Equal(t, expr, p.String())
		theirs := regexp.MustCompile(expr)
		for _, text := range texts {
			require.Equal(t, theirs.MatchString(text), p.MatchString(text), "%q on %q", expr, text)
		}
	}
}

func TestErrorsAreThoseOfRegexp(t *testing.T) {
	for _, expr := range []string{
		"(a", "((a)", "a)", "[a", "[]", "b[^", "[z-a]", `[\]-[]`, "*a", "a|+", "a|??", "(?i)*", "{2}", "a**", "a{2}{3}?b", "a*?+",
		"a{1001}", "a{99999999999999999999}", "a{2,1}", `a\`, `[a-\`, "\xff",
	} {
		_, err := Compile(expr)
		require.False(t, errors.Is(err, ErrUnsupported) || errors.Is(err, ErrTooLong), expr)
		_, want := regexp.Compile(expr)
		require.EqualError(t, err, want.Error(), expr)
	}
	for expr, operator := range map[string]string{
		`\pL`: `\p`, `[\p{Greek}]`: `\p`, `\x41`: `\x`, `\Qa\E`: `\Q`, "[[:alpha:]]": "[:", "(?P<name>a)": "(?", "(?s).": "(?", "(?i": "(?",
		`\é`: `\é`, `[a-\d]`: `\d`, `[\b]`: `\b`,
	} {
		_, err := Compile(expr)
		require.ErrorIs(t, err, ErrUnsupported, expr)
		require.ErrorContains(t, err, "(?i): `"+operator+"`")
	}
	_, err := Compile("(" + strings.Repeat("x", 900))
	require.Less(t, len(err.Error()), 200, "the error does not repeat a long expression")
}

// TestTheWorkIsBounded: in many other implementations, such expressions take a time
// that doubles with each character of the text.
func TestTheWorkIsBounded(t *testing.T) {
	text := strings.Repeat("a", 100_000)
	for _, expr := range []string{"(a*)*$b", "(a|a)*b", "(a|aa)+$b", ".*.*.*=.*", "(x+x+)+y|" + strings.Repeat("a?", 100) + "b"} {
		p, err := Compile(expr)
		require.NoError(t, err, expr)
		began := time.Now()
		require.False(t, p.MatchString(text), expr)
		require.Less(t, time.Since(began), time.Minute, expr)
	}
	for _, expr := range []string{
		strings.Repeat("x.", 1000), "(x.{1000}){1000}", "((a{10}){10}){10}a", strings.Repeat("(", 5000) + strings.Repeat(")", 5000),
		strings.Repeat("a|", 5000), "a{500}b{501}",
	} {
		_, err := Compile(expr)
		require.ErrorIs(t, err, ErrTooLong, "%.40s", expr)
	}
	p, err := Compile("^a{600}")
	require.NoError(t, err)
	require.True(t, p.MatchString(text))
	require.False(t, p.MatchString(text[:599]))
}

// emptyRepeat finds what only package regexp accepts: in a(?i)* it repeats the a.
var emptyRepeat = regexp.MustCompile(`\(\?i\)[*+?{]`)

// FuzzLikeRegexp compares with package regexp. What both accept means the same, and
// what only package regexp accepts is an operator that is missing here, or too long.
func FuzzLikeRegexp(f *testing.F) {
	for i, expr := range expressions {
		f.Add(expr, texts[i%len(texts)])
	}
	f.Fuzz(func(t *testing.T, expr, text string) {
		if len(expr) > 200 || len(text) > 1000 || emptyRepeat.MatchString(expr) {
			t.Skip("long, or a known difference")
		}
		ours, err := Compile(expr)
		theirs, theirErr := regexp.Compile(expr)
		switch {
		case errors.Is(err, ErrUnsupported) || errors.Is(err, ErrTooLong):
		case err != nil:
			require.Error(t, theirErr, "%q: %v", expr, err)
		case theirErr != nil:
			require.ErrorContains(t, theirErr, "repeat count", "%q", expr) // {0}{1000} is nothing here
		case utf8.ValidString(text) && !strings.ContainsRune(expr, utf8.RuneError):
			require.Equal(t, theirs.MatchString(text), ours.MatchString(text), "%q on %q", expr, text)
		default:
			ours.MatchString(text) // must not panic
		}
	})
}

// BenchmarkMatch compares the time for a line of a dump with that of package regexp.
func BenchmarkMatch(b *testing.B) {
	line := "github.com/example/server/internal/handler.(*Handler).ServeHTTP.func1 /src/server/internal/handler/handler.go:1234"
	for _, expr := range []string{"handler", "database", "main.*cache", `handler\.go:\d+$`, "(?i)HANDLER|cache"} {
		p, err := Compile(expr)
		require.NoError(b, err)
		theirs := regexp.MustCompile(expr)
		b.Run("pattern/"+expr, func(b *testing.B) {
			for b.Loop() {
				p.MatchString(line)
			}
		})
		b.Run("regexp/"+expr, func(b *testing.B) {
			for b.Loop() {
				theirs.MatchString(line)
			}
		})
	}
}
