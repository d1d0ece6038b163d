package shellwords

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWordsAreSplitAsAShellDoes(t *testing.T) {
	for _, test := range []struct {
		line string
		want []string
	}{
		{"", nil},
		{" \t ", nil},
		{"stacks -n 3", []string{"stacks", "-n", "3"}},
		{"  a   b\t", []string{"a", "b"}},
		{`'a b' "c d"`, []string{"a b", "c d"}},
		{`a'b c'd"e f"g`, []string{"ab cde fg"}},
		{`'' ""`, []string{"", ""}},
		{`'it is \"so\"'`, []string{`it is \"so\"`}},
		{`"a \"b\" \\ \n"`, []string{`a "b" \ \n`}},
		{`a\ b \'c`, []string{"a b", "'c"}},
		{`"net/http\.\(" 'x\.y'`, []string{`net/http\.\(`, `x\.y`}},
		{`\`, []string{`\`}},
		{"ä 'ö ü'", []string{"ä", "ö ü"}},
		{"# no comment", []string{"#", "no", "comment"}},
		{"$HOME *", []string{"$HOME", "*"}},
	} {
		got, err := Split(test.line)
		require.NoError(t, err, test.line)
		require.Equal(t, test.want, got, test.line)
	}
	for _, line := range []string{`'`, `"`, `a 'b`, `"a\"`, `'a" b`, `"a' b`} {
		_, err := Split(line)
		require.ErrorContains(t, err, "has no other end", line)
	}
}

func TestLastWord(t *testing.T) {
	for line, want := range map[string]string{
		"":                "",
		"stacks":          "stacks",
		"stacks ":         "",
		"stacks -st":      "-st",
		"a 'b c":          "'b c",
		"a 'b c' ":        "",
		`a "b \" c`:       `"b \" c`,
		`a b\ c`:          `b\ c`,
		`a x'b c'"d e`:    `x'b c'"d e`,
		"print ü":         "ü",
		`a \`:             `\`,
		"a 'b' 'c' d\t e": "e",
	} {
		require.Equal(t, want, line[LastWord(line):], line)
	}
}

func FuzzSplitWords(f *testing.F) {
	f.Add("a 'b c' \"d\\\"\" e\\ f")
	f.Fuzz(func(t *testing.T, line string) {
		words, err := Split(line)
		if err != nil {
			return
		}
		// Quoting the words and splitting them again must give the same words.
		var again []string
		for _, w := range words {
			again = append(again, "'"+strings.ReplaceAll(w, "'", `'\''`)+"'")
		}
		got, err := Split(strings.Join(again, " "))
		require.NoError(t, err)
		require.Equal(t, words, got)
	})
}
