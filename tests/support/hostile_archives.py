"""Archives and tables of a few bytes that ask for gigabytes; small on the disk, and always the same.

Each function of ``HOSTILE`` is called with an empty folder, and returns the file to import.
"""

import bz2
import pickle
import tarfile
import zipfile

import nats_files as files
import pyarrow as pa
import pyarrow.parquet as pq
from hostile_pickles import CELL

_MAPPING = """[table]
name = "hostile"
space = "nb201"
architecture = "arch"
objective = "acc"
[[columns]]
name = "acc"
from = "acc"
quantity = "accuracy"
unit = "%"
maximize = true
split = "valid"
"""


def _header(kind, size):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def _zeros_packed(n):
    """Streams of bz2 that unpack to as many zeros."""
    one = bz2.compress(bytes(50_000_000))
    return one * (n // 50_000_000)


def tar_in_bz2_with_a_long_name(folder):
    path = folder / "a.tar.bz2"
    head = bz2.compress(_header(tarfile.GNUTYPE_LONGNAME, 3 << 30))
    path.write_bytes(head + _zeros_packed(3 << 30))
    return path


def tar_in_bz2_with_a_long_header(folder):
    path = folder / "a.tar.bz2"
    path.write_bytes(bz2.compress(_header(tarfile.XHDTYPE, 3 << 30)) + _zeros_packed(3 << 30))
    return path


def tar_with_a_sparse_header(folder):
    path = folder / "a.tar"
    with open(path, "wb") as file:
        file.write(_header(tarfile.GNUTYPE_LONGNAME, 3 << 30))
        file.truncate(4 << 30)
    return path


def zip_in_lzma(folder):
    path = folder / "all.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("all/data.pkl", bytes(300_000_000))
    return path


def zip_with_a_sparse_directory(folder):
    path = folder / "all.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("all/data.pkl", b"")
    data = bytearray(path.read_bytes())
    start = data.rindex(b"PK\5\6")
    size = 3 << 30
    data[start + 12 : start + 20] = size.to_bytes(4, "little") + bytes(4)
    with open(path, "wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(data[start:])
    return path


def sparse_record(folder):
    path = files.write_simple(folder / "archive-simple", [CELL], {})
    with open(path / "000000.pickle.pbz2", "wb") as file:
        file.write(b"BZh9")
        file.truncate(5 << 30)
    return path


def records_of_junk(folder):
    """Many records, each of which unpacks to the most that one may."""
    texts = files.cells(100)
    path = files.write_simple(folder / "archive-simple", texts, {})
    for i, text in enumerate(texts):
        record = pickle.dumps(files.record(i, text, ("12",), {"12": 1}), 4)
        # Frames end where the pickle ends, so what is dropped comes first.
        data = b"\x80\x04(" + b"N" * 1_000_000 + b"1" + record[2:]
        (path / f"{i:06d}.pickle.pbz2").write_bytes(bz2.compress(data))
    return path


def _mapped(path):
    path.with_suffix(".toml").write_text(_MAPPING)
    return path


def parquet_of_one_long_text(folder):
    """One text of 160 kB that 15,625 rows refer to."""
    arch = pa.DictionaryArray.from_arrays(
        pa.array([0] * 15_625, pa.int32()), pa.array(["x" * 160_000])
    )
    table = pa.table({"arch": arch, "acc": pa.array([1.0] * 15_625)})
    pq.write_table(table, folder / "a.parquet", compression="zstd")
    return _mapped(folder / "a.parquet")


def parquet_of_a_long_text_as_number(folder):
    text = pa.DictionaryArray.from_arrays(
        pa.array([0] * 15_625, pa.int32()), pa.array(["x" * 160_000])
    )
    table = pa.table({"arch": pa.array([CELL] * 15_625), "acc": text})
    pq.write_table(table, folder / "a.parquet", compression="zstd", store_schema=False)
    return _mapped(folder / "a.parquet")


def parquet_of_a_gigabyte(folder):
    """A single text of 600 MB."""
    table = pa.table({"arch": pa.array(["x" * 600_000_000]), "acc": [1.0]})
    pq.write_table(
        table,
        folder / "a.parquet",
        compression="zstd",
        use_dictionary=False,
        write_statistics=False,
    )
    return _mapped(folder / "a.parquet")


def parquet_of_many_rows(folder):
    """A hundred million equal rows, of a space that has as many architectures."""
    schema = pa.schema([("arch", pa.dictionary(pa.int32(), pa.string())), ("acc", pa.float64())])
    arch = pa.DictionaryArray.from_arrays(pa.array([0] * 10_000_000, pa.int32()), pa.array(["a"]))
    part = pa.table([arch, pa.array([1.0]).take(pa.array([0] * 10_000_000))], schema)
    with pq.ParquetWriter(folder / "a.parquet", schema, compression="zstd") as writer:
        for _ in range(10):
            writer.write_table(part, row_group_size=10_000_000)
    path = _mapped(folder / "a.parquet")
    mapping = path.with_suffix(".toml")
    mapping.write_text(mapping.read_text().replace("nb201", "nb101"))
    return path


def parquet_with_a_sparse_footer(folder):
    path = folder / "a.parquet"
    with open(path, "wb") as file:
        file.write(b"PAR1")
        file.truncate(4 << 30)
        file.seek(4 << 30)
        file.write((0xF0000000).to_bytes(4, "little") + b"PAR1")
    return _mapped(path)


def csv_of_sparse_zeros(folder):
    path = folder / "a.csv"
    with open(path, "wb") as file:
        file.write(b"arch,acc\n")
        file.truncate(5 << 30)
    return _mapped(path)


def csv_with_a_header_without_end(folder):
    path = folder / "a.csv"
    with open(path, "wb") as file:
        file.write(b"arch,acc")
        file.truncate(5 << 30)
    return _mapped(path)


def csv_of_a_row_without_end(folder):
    path = folder / "a.csv"
    path.write_bytes(b"arch,acc\n" + b'"a\n",' * 6_000_000)
    return _mapped(path)


def mapping_of_megabytes(folder):
    path = folder / "a.csv"
    path.write_text(f"arch,acc\n{CELL},50\n")
    path.with_suffix(".toml").write_text(_MAPPING.replace("nb201", "x" * 900_000))
    return path


def sparse_mapping(folder):
    path = folder / "a.csv"
    path.write_text(f"arch,acc\n{CELL},50\n")
    with open(path.with_suffix(".toml"), "wb") as file:
        file.truncate(5 << 30)
    return path


def digits_without_end(folder):
    """What made the search for an architecture in it take hours."""
    path = folder / "all.pickle.pbz2"
    path.write_bytes(bz2.compress(b"meta_archs" + b"1" * (1 << 20)))
    return path


def streams_without_end(folder):
    path = files.write_simple(folder / "archive-simple", [CELL], {})
    (path / "000000.pickle.pbz2").write_bytes(bz2.compress(b"(") * 100_000)
    return path


HOSTILE = {
    function.__name__: function
    for function in (
        tar_in_bz2_with_a_long_name,
        tar_in_bz2_with_a_long_header,
        tar_with_a_sparse_header,
        zip_in_lzma,
        zip_with_a_sparse_directory,
        sparse_record,
        records_of_junk,
        parquet_of_one_long_text,
        parquet_of_a_long_text_as_number,
        parquet_of_a_gigabyte,
        parquet_of_many_rows,
        parquet_with_a_sparse_footer,
        csv_of_sparse_zeros,
        csv_with_a_header_without_end,
        csv_of_a_row_without_end,
        mapping_of_megabytes,
        sparse_mapping,
        digits_without_end,
        streams_without_end,
    )
}
"""By name."""
