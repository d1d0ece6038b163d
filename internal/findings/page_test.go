package findings

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEachFindingIsOnThePage requires that docs/findings.md has an example of each title
// that a rule can give its finding.
func TestEachFindingIsOnThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/findings.md")
	require.NoError(t, err)
	titles := titlesInSource(t)
	require.Greater(t, len(titles), 15, "the titles were found")
	verb := regexp.MustCompile(`%(\.\d)?[a-z]`)
	for _, title := range titles {
		parts := verb.Split(strings.ReplaceAll(title, "%%", "%"), -1)
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		if !regexp.MustCompile(`(?m)^\d\. ` + strings.Join(parts, ".*")).Match(page) {
			t.Errorf("docs/findings.md has no example of %q", title)
		}
	}
}

// titlesInSource returns the formats of all titles: what is assigned to a field or key
// Title, or is the first argument of fmt.Sprintf there.
func titlesInSource(t *testing.T) (titles []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	add := func(value ast.Expr) {
		if sum, ok := value.(*ast.BinaryExpr); ok { // a text and what still returns
			value = sum.X
		}
		if call, ok := value.(*ast.CallExpr); ok && len(call.Args) > 0 {
			value = call.Args[0]
		}
		if text, ok := value.(*ast.BasicLit); ok && text.Kind == token.STRING {
			title, err := strconv.Unquote(text.Value)
			require.NoError(t, err)
			titles = append(titles, title)
		}
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Title" {
					add(n.Value)
				}
			case *ast.AssignStmt:
				if field, ok := n.Lhs[0].(*ast.SelectorExpr); ok && field.Sel.Name == "Title" && n.Tok == token.ASSIGN {
					add(n.Rhs[0])
				}
			}
			return true
		})
	}
	return titles
}
