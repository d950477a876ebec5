"""What people say when they report, by kind. Invented sentences; `{at}` is filled with a landmark.

Kinds without sentences of their own fall back to `OTHER`.
"""

from __future__ import annotations

LANDMARKS: tuple[str, ...] = (
    "depan minimarket",
    "dekat perempatan lampu merah",
    "samping masjid",
    "seberang sekolah",
    "depan gang",
    "dekat jembatan kecil",
    "belakang pasar",
    "depan warung kopi",
    "dekat balai RW",
    "samping pos satpam",
    "di tikungan dekat taman",
    "depan bengkel motor",
)

SENTENCES: dict[str, tuple[str, ...]] = {
    "medis": (
        "Bapak saya sesak napas, keringat dingin, {at}",
        "Ada orang pingsan tidak sadar {at}, tolong ambulans",
        "Ibu saya nyeri dada sejak setengah jam, rumah {at}",
        "Tetangga tiba-tiba lemas sebelah badan, bicaranya pelo, {at}",
        "Anak kejang panas tinggi, {at}",
        "Kakek jatuh di kamar mandi, tidak bisa bangun, {at}",
    ),
    "melahirkan": ("Istri saya mau melahirkan, ketuban sudah pecah, {at}", "Ada ibu hampir melahirkan {at}"),
    "ambulans": ("Minta ambulans untuk antar kontrol besok pagi, {at}", "Perlu ambulans pindah rumah sakit, {at}"),
    "laka": (
        "Tabrakan motor dengan mobil {at}, satu orang luka di kepala",
        "Motor jatuh sendiri {at}, orangnya berdarah",
        "Kecelakaan beruntun {at}, ada yang tidak bisa jalan",
        "Pejalan kaki ditabrak motor {at}, kakinya seperti patah",
        "Pesepeda terserempet truk {at}, tergeletak di jalan",
    ),
    "laka_massal": ("Bus terguling {at}, banyak korban",),
    "laka_kereta": ("Motor tertabrak kereta di perlintasan {at}",),
    "laka_kerja": ("Pekerja jatuh dari perancah {at}", "Tangan pekerja terjepit mesin {at}"),
    "kebakaran": (
        "Rumah terbakar {at}, api sudah di atap",
        "Asap tebal keluar dari ruko {at}",
        "Dapur warung terbakar {at}, masih ada orang di dalam",
    ),
    "kebakaran_kendaraan": ("Mobil terbakar {at}", "Motor keluar api {at}"),
    "kebakaran_lahan": ("Lahan kosong terbakar {at}, asapnya ke rumah", "Tumpukan sampah terbakar {at}"),
    "bau_gas": ("Bau gas menyengat {at}", "Tabung gas bocor mendesis di rumah {at}"),
    "b3": ("Cairan kimia tumpah dari truk {at}, baunya perih di mata",),
    "tenggelam": ("Ada anak tenggelam di sungai {at}", "Orang terseret arus {at}"),
    "evakuasi_orang": ("Ada orang terjebak di lift {at}", "Anak tangannya terjepit pagar {at}"),
    "jenazah": ("Ada orang meninggal di kos {at}, sudah bau", "Warga menemukan jenazah {at}"),
    "bunuh_diri": ("Ada orang berdiri di luar pagar jembatan {at}",),
    "kriminalitas": ("Ada jambret tertangkap warga {at}", "Toko dibobol orang {at}, pelaku masih di dalam"),
    "kdrt": ("Tetangga dipukuli suaminya, teriak minta tolong, {at}",),
    "gangguan_ketertiban": ("Ada tawuran remaja {at}", "Orang mabuk mengamuk {at}"),
    "odgj": ("Ada orang gangguan jiwa membawa kayu {at}",),
    "pmks": ("Ada lansia telantar {at}, sepertinya belum makan", "Anak jalanan tidur di trotoar {at}"),
    "psikososial": ("Teman saya menangis terus dan tidak mau makan, butuh didampingi, {at}",),
    "orang_tersesat": ("Ada nenek bingung tidak tahu jalan pulang {at}", "Anak kecil terpisah dari ibunya {at}"),
    "pohon_tumbang": (
        "Pohon tumbang menutup jalan {at}",
        "Dahan besar patah menimpa motor {at}",
        "Pohon miring mau roboh ke rumah {at}",
    ),
    "banjir": ("Air masuk rumah setinggi lutut {at}", "Genangan tinggi {at}, motor mogok semua"),
    "rumah_roboh": ("Atap rumah ambruk {at}", "Tembok rumah roboh {at}, ada orang di dalam"),
    "angin_kencang": ("Genting rumah terbang kena angin {at}", "Baliho roboh {at}"),
    "bencana": ("Tanggul jebol {at}",),
    "evakuasi_hewan": ("Ular masuk rumah {at}", "Sarang tawon besar di teras {at}", "Kucing terjebak di plafon {at}"),
    "kabel_listrik": ("Kabel listrik putus menjuntai {at}, keluar percikan api",),
    "lampu_padam": ("Lampu jalan padam satu ruas {at}", "Listrik satu gang padam {at}"),
    "pipa_bocor": ("Pipa air pecah menyembur {at}",),
    "lalu_lintas": ("Truk mogok melintang {at}, macet total", "Lampu merah mati {at}, kendaraan kacau"),
}
OTHER: tuple[str, ...] = ("Mohon bantuan petugas {at}",)

AGAIN: tuple[str, ...] = (
    "Saya lihat yang sama, {text}",
    "Mau lapor juga: {text}",
    "Sudah ada yang lapor? {text}",
)
"""How a second caller about the same event begins."""

PRANKS: tuple[str, ...] = ("panggilan iseng anak-anak", "bernyanyi lalu menutup telepon", "memaki lalu menutup telepon")
SILENT = "panggilan bisu, tidak ada suara yang terdengar"
