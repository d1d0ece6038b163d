package protocol

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQueriesAndAnswersAreReadBack(t *testing.T) {
	id, text, ok := ParseQuery(QueryLine(0xbeef, "print ca"))
	require.True(t, ok)
	require.Equal(t, "0000beef", id)
	require.Equal(t, "print ca", text)

	for _, words := range [][]string{nil, {"cache"}, {"cache", "'chan receive'"}} {
		line, ended := strings.CutSuffix(Answer(id, words), "\n")
		require.True(t, ended)
		gotID, got, ok := ParseAnswer(line)
		require.True(t, ok)
		require.Equal(t, id, gotID)
		require.Equal(t, words, got)
	}
	require.Equal(t, "\x050000beef\x1fa\x1fd\n", Answer(id, []string{"a", "", "b\n\x1fc", "d"}))
	for _, line := range []string{"", "stacks", "\x05", "\x051234567", "\x050000BEEFx", "0000beef"} {
		_, _, ok := ParseQuery(line)
		require.False(t, ok, line)
	}
	_, _, ok = ParseAnswer(QueryLine(1, "text"))
	require.False(t, ok)
}

func TestAnswersAreBounded(t *testing.T) {
	var many []string
	for i := range 10 * MaxWords {
		many = append(many, fmt.Sprint("word", i))
	}
	long := []string{"a", strings.Repeat("x", 2*MaxAnswer), "b"}
	for _, words := range [][]string{many, long} {
		line := Answer("0000beef", words)
		require.LessOrEqual(t, len(line), MaxAnswer)
		_, got, ok := ParseAnswer(strings.TrimSuffix(line, "\n"))
		require.True(t, ok)
		require.LessOrEqual(t, len(got), MaxWords+1)
		require.Equal(t, MoreWords, got[len(got)-1])
	}
}
