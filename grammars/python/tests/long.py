"""Tables and a long class."""

TABLE = [
    (0, "entry number 0", [0, 1, 2]),
    (1, "entry number 1", [1, 2, 3]),
    (2, "entry number 2", [2, 3, 4]),
    (3, "entry number 3", [3, 4, 5]),
    (4, "entry number 4", [4, 5, 6]),
    (5, "entry number 5", [5, 6, 7]),
    (6, "entry number 6", [6, 7, 8]),
    (7, "entry number 7", [7, 8, 9]),
    (8, "entry number 8", [8, 9, 10]),
    (9, "entry number 9", [9, 10, 11]),
    (10, "entry number 10", [10, 11, 12]),
    (11, "entry number 11", [11, 12, 13]),
    (12, "entry number 12", [12, 13, 14]),
    (13, "entry number 13", [13, 14, 15]),
    (14, "entry number 14", [14, 15, 16]),
    (15, "entry number 15", [15, 16, 17]),
    (16, "entry number 16", [16, 17, 18]),
    (17, "entry number 17", [17, 18, 19]),
    (18, "entry number 18", [18, 19, 20]),
    (19, "entry number 19", [19, 20, 21]),
    (20, "entry number 20", [20, 21, 22]),
    (21, "entry number 21", [21, 22, 23]),
    (22, "entry number 22", [22, 23, 24]),
    (23, "entry number 23", [23, 24, 25]),
    (24, "entry number 24", [24, 25, 26]),
    (25, "entry number 25", [25, 26, 27]),
    (26, "entry number 26", [26, 27, 28]),
    (27, "entry number 27", [27, 28, 29]),
    (28, "entry number 28", [28, 29, 30]),
    (29, "entry number 29", [29, 30, 31]),
    (30, "entry number 30", [30, 31, 32]),
    (31, "entry number 31", [31, 32, 33]),
    (32, "entry number 32", [32, 33, 34]),
    (33, "entry number 33", [33, 34, 35]),
    (34, "entry number 34", [34, 35, 36]),
    (35, "entry number 35", [35, 36, 37]),
    (36, "entry number 36", [36, 37, 38]),
    (37, "entry number 37", [37, 38, 39]),
    (38, "entry number 38", [38, 39, 40]),
    (39, "entry number 39", [39, 40, 41]),
    (40, "entry number 40", [40, 41, 42]),
    (41, "entry number 41", [41, 42, 43]),
    (42, "entry number 42", [42, 43, 44]),
    (43, "entry number 43", [43, 44, 45]),
    (44, "entry number 44", [44, 45, 46]),
    (45, "entry number 45", [45, 46, 47]),
    (46, "entry number 46", [46, 47, 48]),
    (47, "entry number 47", [47, 48, 49]),
    (48, "entry number 48", [48, 49, 50]),
    (49, "entry number 49", [49, 50, 51]),
    (50, "entry number 50", [50, 51, 52]),
    (51, "entry number 51", [51, 52, 53]),
    (52, "entry number 52", [52, 53, 54]),
    (53, "entry number 53", [53, 54, 55]),
    (54, "entry number 54", [54, 55, 56]),
    (55, "entry number 55", [55, 56, 57]),
    (56, "entry number 56", [56, 57, 58]),
    (57, "entry number 57", [57, 58, 59]),
    (58, "entry number 58", [58, 59, 60]),
    (59, "entry number 59", [59, 60, 61]),
    (60, "entry number 60", [60, 61, 62]),
    (61, "entry number 61", [61, 62, 63]),
    (62, "entry number 62", [62, 63, 64]),
    (63, "entry number 63", [63, 64, 65]),
    (64, "entry number 64", [64, 65, 66]),
    (65, "entry number 65", [65, 66, 67]),
    (66, "entry number 66", [66, 67, 68]),
    (67, "entry number 67", [67, 68, 69]),
    (68, "entry number 68", [68, 69, 70]),
    (69, "entry number 69", [69, 70, 71]),
    (70, "entry number 70", [70, 71, 72]),
    (71, "entry number 71", [71, 72, 73]),
    (72, "entry number 72", [72, 73, 74]),
    (73, "entry number 73", [73, 74, 75]),
    (74, "entry number 74", [74, 75, 76]),
    (75, "entry number 75", [75, 76, 77]),
    (76, "entry number 76", [76, 77, 78]),
    (77, "entry number 77", [77, 78, 79]),
    (78, "entry number 78", [78, 79, 80]),
    (79, "entry number 79", [79, 80, 81]),
    (80, "entry number 80", [80, 81, 82]),
    (81, "entry number 81", [81, 82, 83]),
    (82, "entry number 82", [82, 83, 84]),
    (83, "entry number 83", [83, 84, 85]),
    (84, "entry number 84", [84, 85, 86]),
    (85, "entry number 85", [85, 86, 87]),
    (86, "entry number 86", [86, 87, 88]),
    (87, "entry number 87", [87, 88, 89]),
    (88, "entry number 88", [88, 89, 90]),
    (89, "entry number 89", [89, 90, 91]),
]


class Machine:
    """Runs."""

    def method_0(self, value):
        self.value_0 = value + 0
        self.value_1 = value + 1
        self.value_2 = value + 2
        self.value_3 = value + 3
        return value

    def method_1(self, value):
        self.value_0 = value + 0
        self.value_1 = value + 1
        self.value_2 = value + 2
        self.value_3 = value + 3
        self.value_4 = value + 4
        self.value_5 = value + 5
        self.value_6 = value + 6
        self.value_7 = value + 7
        return value

    def method_2(self, value):
        self.value_0 = value + 0
        self.value_1 = value + 1
        self.value_2 = value + 2
        self.value_3 = value + 3
        self.value_4 = value + 4
        self.value_5 = value + 5
        self.value_6 = value + 6
        self.value_7 = value + 7
        self.value_8 = value + 8
        self.value_9 = value + 9
        self.value_10 = value + 10
        self.value_11 = value + 11
        return value

    def method_3(self, value):
        self.value_0 = value + 0
        self.value_1 = value + 1
        self.value_2 = value + 2
        self.value_3 = value + 3
        self.value_4 = value + 4
        self.value_5 = value + 5
        self.value_6 = value + 6
        self.value_7 = value + 7
        self.value_8 = value + 8
        self.value_9 = value + 9
        self.value_10 = value + 10
        self.value_11 = value + 11
        self.value_12 = value + 12
        self.value_13 = value + 13
        self.value_14 = value + 14
        self.value_15 = value + 15
        return value

    def method_4(self, value):
        self.value_0 = value + 0
        self.value_1 = value + 1
        self.value_2 = value + 2
        self.value_3 = value + 3
        self.value_4 = value + 4
        self.value_5 = value + 5
        self.value_6 = value + 6
        self.value_7 = value + 7
        self.value_8 = value + 8
        self.value_9 = value + 9
        self.value_10 = value + 10
        self.value_11 = value + 11
        self.value_12 = value + 12
        self.value_13 = value + 13
        self.value_14 = value + 14
        self.value_15 = value + 15
        self.value_16 = value + 16
        self.value_17 = value + 17
        self.value_18 = value + 18
        self.value_19 = value + 19
        return value

    def method_5(self, value):
        self.value_0 = value + 0
        self.value_1 = value + 1
        self.value_2 = value + 2
        self.value_3 = value + 3
        self.value_4 = value + 4
        self.value_5 = value + 5
        self.value_6 = value + 6
        self.value_7 = value + 7
        self.value_8 = value + 8
        self.value_9 = value + 9
        self.value_10 = value + 10
        self.value_11 = value + 11
        self.value_12 = value + 12
        self.value_13 = value + 13
        self.value_14 = value + 14
        self.value_15 = value + 15
        self.value_16 = value + 16
        self.value_17 = value + 17
        self.value_18 = value + 18
        self.value_19 = value + 19
        self.value_20 = value + 20
        self.value_21 = value + 21
        self.value_22 = value + 22
        self.value_23 = value + 23
        return value
