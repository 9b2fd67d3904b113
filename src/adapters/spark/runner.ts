/** A table as Spark is to see it. */
export interface View {
  readonly name: string;
  /** Absolute paths of Parquet files. */
  readonly files: readonly string[];
  readonly columns: readonly string[];
}

export interface Query {
  readonly sql: string;
  /** Column to sort by; the rows then come in one file. */
  readonly sort?: string;
  /** Directory that gets the rows as JSON, one object a line. It must not be there. */
  readonly out: string;
}

/** What the runner is told. */
export interface Job {
  readonly views: readonly View[];
  /** Pairs of views whose columns must have the same types. */
  readonly alike: readonly (readonly [string, string])[];
  readonly queries: readonly Query[];
}

/**
 * The program that `spark-submit` runs, for any job: it knows nothing of what
 * is compared. Its only argument is a file with the job as JSON. It ends with a
 * traceback, or with a line `godwit: …`, when it cannot do it.
 *
 * Text without a collation is sorted by its bytes. One partition, rather than
 * Spark's global sort, because that would run the query twice to find ranges.
 */
export const RUNNER = `"""Makes views over Parquet files and writes what queries give as JSON lines."""
import json
import re
import sys

from pyspark.sql import SparkSession


def location(path):
    # A path is a pattern to Hadoop; what is special in one is meant as it is written.
    return "file://" + re.sub(r"([\\\\*?\\[\\]{}])", r"\\\\\\1", path)


def run(spark, job):
    types = {}
    for view in job["views"]:
        table = spark.read.parquet(*[location(path) for path in view["files"]]).select(*view["columns"])
        types[view["name"]] = dict(table.dtypes)
        table.createOrReplaceTempView(view["name"])
    for name, columns in types.items():
        for column, type in columns.items():
            if type != "string" and (column == "k" or type != "bigint"):
                sys.exit(f"godwit: column {column} of {name} is of type {type}")
    for one, other in job["alike"]:
        if types[one] != types[other]:
            sys.exit(f"godwit: the columns of {one} and {other} are not of the same types")
    for query in job["queries"]:
        rows = spark.sql(query["sql"])
        if query.get("sort"):
            rows = rows.repartition(1).sortWithinPartitions(query["sort"])
        rows.write.option("ignoreNullFields", "false").json("file://" + query["out"])


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    spark = SparkSession.builder.getOrCreate()
    try:
        run(spark, job)
    finally:
        spark.stop()
`;
