<?php

namespace App\Walks;

use App\Store\{Row, Table as T};
use function App\Helpers\visit;
use Countable;

require_once __DIR__ . '/../bootstrap.php';
include 'helpers.php';

class Uses extends T implements Countable, \App\Walks
{
    use Steps;

    public function walk(Row $row, ?Limit $limit = null): Result
    {
        $first = Rows::first($row->depth, Limits::DEFAULT);
        visit($first, new Visitor(), new \App\Part());
        return $this->convert($first)?->found();
    }
}
