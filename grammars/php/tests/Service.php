<html><?php

namespace Example\Services;

use Example\Base;

const LIMIT = 10;

define('DEPTH', 3);

/**
 * Serves.
 */
#[Attribute]
final class Service extends Base implements Runs
{
    use Helper;

    public const A = 1, B = 2;
    private string $name = "";
    protected $one, $two;

    // Makes one.
    public function __construct(
        private readonly int $size,
        string $name,
    ) {
        $local = 1;
    }

    public static function make(?string $name): static
    {
        return new static(1, "text $name");
    }

    abstract protected function area(): float;
}

interface Runs
{
    public function run(): void;
}

trait Helper
{
    public function help() {}
}

enum Color: string
{
    case Red = "r";
    case Green = "g";
}

function top_level(int $a): int
{
    $closure = function () { return 1; };
    return $a;
}
?>
</html>
