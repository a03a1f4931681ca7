using System.Linq;
using Rows = Example.Store.Rows;

namespace Example;

[Service]
class Uses : Table<Row>, IWalks, Store.IBase
{
    private readonly Limit limit = Limits.Default;

    public Task<Row> Walk(Step step, int? depth)
    {
        var first = rows.First<Row>(step)?.Found();
        foreach (var row in first.Select(each => each.Name))
        {
            Visit(row, new Visitor(depth), new List<Part>());
        }
        return Convert(first);
    }
}
